"""The same two answers as a FastAPI application, as its users write them."""

from bare_asgi import newest, one
from fastapi import FastAPI

app = FastAPI()


@app.get("/info")
def info(id: str):
    return one(id)


@app.get("/list")
def files(limit: int = 100):
    return newest(limit)
