"""The usual way to build a resampling service: FastAPI, a thread a request, an ffmpeg process a file.

Two requests a conversion: one posts the file and is told a path of the server, one asks for that path, whose
file is removed behind the answer.
"""

import json
import os
import subprocess
import tempfile

from fastapi import BackgroundTasks, FastAPI, File, UploadFile
from fastapi.responses import FileResponse

app = FastAPI()


@app.post("/resample/")
def resample(inFile: UploadFile = File(...)):
    """Convert to an MP3 of 32 kHz; the answer says where it is."""
    with tempfile.NamedTemporaryFile(delete=False) as copy:
        copy.write(inFile.file.read())
    try:
        probe = subprocess.run(
            ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", copy.name],
            capture_output=True,
            check=True,
        )
        found = json.loads(probe.stdout)
        if (
            found["streams"][0]["sample_rate"] == "32000"
            and found["format"]["format_name"] == "mp3"
        ):
            return {"path": "N/A"}
        target = os.path.basename(copy.name) + ".mp3"
        subprocess.run(
            [
                "ffmpeg",
                "-nostdin",
                "-v",
                "error",
                "-i",
                copy.name,
                "-ar",
                "32000",
                "-acodec",
                "mp3",
                "-b:a",
                "128k",
                target,
            ],
            check=True,
        )
        return {"path": target}
    finally:
        os.unlink(copy.name)


@app.get("/resample/")
def fetch(file_path: str, after: BackgroundTasks):
    """The file at that path, which is removed then."""
    after.add_task(os.unlink, file_path)
    return FileResponse(file_path)
