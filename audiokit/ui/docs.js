// The API to read, made of /openapi.json: every operation, its parameters and answers, and a line for curl.
// Text is never markup: nodes are made, and strings become text nodes.

const METHODS = ["get", "post", "patch", "delete"];
const FILE = "myfile.wav"; // in the lines for curl

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** What a `$ref` points at; a description beside it counts instead of the target's. */
export function resolve(description, part) {
  if (!part?.$ref) return part;
  const { $ref, ...beside } = part;
  const found = $ref.slice(2).split("/").reduce((node, name) => node[name.replaceAll("~1", "/").replaceAll("~0", "~")], description);
  return { ...found, ...beside };
}

/** A word as a shell takes it. */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A value that a schema allows: for a reader to replace. */
export function example(schema, name = "", isPerson = false) {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf.find(({ type }) => type === "string") ?? schema.anyOf[0], name);
  const type = [schema.type].flat()[0];
  if (type === "object" && !schema.properties) return { KEY: "VALUE" };
  if (type === "object") return Object.fromEntries(Object.entries(schema.properties).map(([key, value]) => [key, example(value, key, isPerson)]));
  if (type === "array") return [example(schema.items, name)];
  if (type === "boolean") return schema.default ?? false; // who copies the line makes no admin, and shares nothing
  if (type === "integer" || type === "number") return Math.max(schema.minimum ?? 0, Math.min(schema.maximum ?? 1, 10));
  const usual = { expires: "24h", seconds: "20h", bytes: "10GiB", name: isPerson ? "ann" : FILE };
  return usual[name] ?? name.toUpperCase();
}

/** The line for curl of an operation, against `origin`. */
export function curl(description, origin, path, method, operation) {
  const words = ["curl"];
  const content = operation.requestBody?.content ?? {};
  const json = content["application/json"];
  if (path.startsWith("/users") || method === "post" && path === "/tokens") words.push("-u", "NAME");
  if (method !== "get" && !(method === "post" && (json || content["*/*"]))) words.push("-X", method.toUpperCase());
  if (json) words.push("-H", "Content-Type: application/json", "--data", JSON.stringify(example(json.schema, "", /users|session/.test(path))));
  else if (content["*/*"]) words.push("--data-binary", `@${FILE}`);
  const own = (operation.parameters ?? []).map((part) => resolve(description, part));
  const target = path.replace(/\{(\w+)\}/g, (_, name) => (name === "id" ? "ID" : name.toUpperCase()));
  const needed = own.some(({ name }) => name === "name") && !path.includes("{") && path !== "/list" && path !== "/files" && path !== "/resample";
  const isUpload = content["*/*"] && path !== "/resample";
  if (/download|content|result|follow/.test(operation.operationId)) words.push("-O", "-J");
  if (operation.operationId === "resample") words.push("-o", "result.mp3");
  const query = own.filter((part) => part.in === "query" && part.required).map(({ name }) => `${name}=${name.toUpperCase()}`);
  if (needed || isUpload) query.unshift(`name=${FILE}`);
  words.push(origin + target + (query.length ? "?" + query.join("&") : ""));
  return words.map(quoted).join(" ");
}

/** What a schema lets in, in a few words. */
export function values(schema) {
  if (schema.enum) return schema.enum.map(String).join(", ");
  if (schema.anyOf) return schema.anyOf.map(values).filter(Boolean).join(" or ");
  const type = [schema.type].flat().join(" or ");
  if (type === "array") return `${values(schema.items)}; may be repeated`;
  const { minimum: low, maximum: high } = schema;
  if (low !== undefined && high !== undefined && high < 1e6) return `${low} to ${high}`;
  return type;
}

function table(caption, head, rows) {
  return el("table", {}, el("caption", { class: "unseen" }, caption),
    el("thead", { class: "unseen" }, el("tr", {}, ...head.map((word) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, ...rows.map(([first, ...others]) => el("tr", {}, el("th", { scope: "row" }, first), ...others.map((cell) => el("td", {}, cell))))));
}

function parameters(description, operation) {
  const own = (operation.parameters ?? []).map((part) => resolve(description, part));
  if (!own.length) return [];
  const rows = own.map(({ name, in: place, description: words, schema }) => [
    el("code", {}, name), `${place === "header" ? "header field: " : ""}${words ?? ""}`, el("span", { class: "values" }, values(schema))]);
  return [el("h4", {}, "Parameters"), table("Parameters", ["name", "meaning", "values"], rows)];
}

function members(description, operation) {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  if (!schema) return [];
  const rows = Object.entries(schema.properties).map(([name, one]) => [
    el("code", {}, name), one.description ?? "", el("span", { class: "values" }, values(one) + (schema.required?.includes(name) ? ", needed" : ""))]);
  return [el("h4", {}, "Body, as JSON"), table("Members of the body", ["name", "meaning", "values"], rows)];
}

function answers(description, operation) {
  const rows = Object.entries(operation.responses).filter(([status]) => status !== "default").map(([status, part]) => {
    const { description: words, content = {} } = resolve(description, part);
    const kinds = Object.keys(content).filter((kind) => kind !== "application/problem+json").map((kind) => (kind === "*/*" ? "bytes" : kind));
    return [status, words.replaceAll("`", ""), el("span", { class: "values" }, kinds.join(", "))];
  });
  return [el("h4", {}, "Answers"), table("Answers", ["status", "meaning", "content"], rows)];
}

function section(description, origin, path, method, operation) {
  return el("section", { class: "operation card", id: operation.operationId, "aria-labelledby": `title-${operation.operationId}` },
    el("h3", { id: `title-${operation.operationId}` }, el("span", { class: "method" }, method.toUpperCase()), " ", el("code", {}, path)),
    el("p", {}, operation.summary, "."), ...(operation.description ? [el("p", { class: "muted" }, operation.description)] : []),
    el("pre", { tabindex: "0", "aria-label": "Line for curl" }, el("code", {}, curl(description, origin, path, method, operation))),
    ...parameters(description, operation), ...members(description, operation), ...answers(description, operation));
}

/** [path, method, operation] of every operation, by tag in the description's order. */
export function operations(description) {
  const all = Object.entries(description.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => [path, method, item[method]]));
  return description.tags.map(({ name }) => [name, all.filter(([, , operation]) => operation.tags.includes(name))]);
}

function shown(description, origin) {
  const groups = operations(description);
  const links = groups.flatMap(([, all]) => all).map(([path, method, { operationId }]) => el("li", {}, el("a", { href: `#${operationId}` }, `${method.toUpperCase()} ${path}`)));
  const codes = description.components.schemas.Problem.properties.code.enum;
  return [
    el("p", {}, description.info.summary), el("p", { class: "muted" }, description.info.description),
    el("nav", { "aria-label": "Operations" }, el("ul", {}, ...links)),
    ...groups.flatMap(([name, all]) => [el("h2", {}, name), ...all.map(([path, method, operation]) => section(description, origin, path, method, operation))]),
    el("h2", {}, "Errors"), el("p", {}, "Every refusal is application/problem+json (RFC 9457), with one of these as its code:"),
    el("p", {}, ...codes.flatMap((code) => [el("code", {}, code), " "])),
  ];
}

async function main() {
  const place = document.getElementById("main");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`The server answers ${answer.status}.`);
    place.append(...shown(await answer.json(), location.origin));
  } catch (error) {
    place.append(el("p", { class: "refusal", role: "alert" }, `The description cannot be read. ${error.message}`));
    return;
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

if (typeof document !== "undefined") main();
