"""`narrate review OUT`: the page with decisions, served on this machine.

Only files of the output folder are ever served, and only those that the page needs. What changes something needs the
token of this session and the page's own origin; a server that others can reach needs the token for everything.
"""

import json
import mimetypes
import secrets
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel, Field

from captioner.wording import speakable
from flows import paths
from flows.corrections import unknown_sounds, words_of_sounds
from flows.errors import FlowError
from flows.job import Job
from flows.numbered import NumberedRows
from flows.page import WEB, card_of, index_of, web_file
from flows.records import Row
from flows.reviews import Action, Decision, MovedOnError, Reviews, now
from flows.rooms import Rooms
from flows.storage import Folder, names_in, read_file
from speech.errors import SpeechError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that nobody else can reach."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may load what this server serves, and nothing else."""

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_MAXIMUM_ROWS = 500


class Asked(BaseModel):
    """A decision as the page sends it."""

    number: int = Field(ge=0)
    action: Action
    text: str = Field("", max_length=2000)
    reason: str = Field("", max_length=500)
    seen: int = Field(0, ge=0)


class Spoken(BaseModel):
    """A text that a person wants to hear."""

    number: int = Field(ge=0)
    text: str = Field(min_length=1, max_length=2000)


class Desk:
    """What one session of reviewing holds: the rows, the decisions, and a voice once somebody wants to hear one."""

    def __init__(self, out: Folder, who: str) -> None:
        """Find the rows; raises FlowError where there are none."""
        self.out, self.who = out, who
        self.rows = NumberedRows(out)
        self.reviews = Reviews(out)
        self._lock = threading.Lock()
        self._rooms: Rooms | None = None

    def index(self) -> dict[str, Any]:
        """Return the columns that the page filters and sorts by."""
        with self._lock:
            self.reviews.refresh()
            return index_of(self.rows.manifest, self.reviews, f"Reviewed by {self.who}. {self.out}")

    def cards(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return what the page shows of these rows; raises IndexError for a number that is not there."""
        with self._lock:
            self.reviews.refresh()
            return [card_of(self.rows[number], self.reviews, self.out) for number in numbers]

    def decide(self, asked: Asked) -> dict[str, Any]:
        """Write a decision down, synced, and return the row's card as it is now; raises `MovedOnError`, FlowError."""
        with self._lock:
            row = self.rows[asked.number]
            before = card_of(row, self.reviews, self.out)
            if row["status"] != "described":
                raise FlowError("this photo has no alt text to decide about", row["id"], "run narrate again")
            text = (
                speakable(" ".join(asked.text.split()))[0].strip() if asked.action == "edited" else before["alt_text"]
            )
            if not any(character.isalnum() for character in text):
                raise FlowError("the text is empty", row["id"], "write one, or reject the photo's text")
            if asked.action == "edited":
                self._assert_words(row, before["alt_text"], text)
            whole = {"who": self.who, "when": now(), "old": before["alt_text"], "new": text, "reason": asked.reason}
            decision = Decision(id=row["id"], sha256=row["sha256"], action=asked.action, **whole)
            self.reviews.decide(decision, asked.seen)
            return card_of(row, self.reviews, self.out)

    def _assert_words(self, row: Row, old: str, new: str) -> None:
        """Raise FlowError where a text holds sounds of no known word: a screen reader would read IPA aloud."""
        known = words_of_sounds([*self.reviews.changes(row["id"], row["sha256"]), (old, new)])
        if unknown := unknown_sounds(new, known):
            mend = "write the word itself; for its sound reject with `say WORD as SOUND`, or use a lexicon"
            raise FlowError(f"[[{unknown[0]}]] stands in no one word's place", row["id"], mend)

    def speak(self, asked: Spoken) -> tuple[bytes, str]:
        """Return the clip of a text in the last run's voice, and its codec; nothing is kept."""
        with self._lock:
            self.rows[asked.number]
            self._rooms = self._rooms or Rooms(last_job(self.out))
            rooms = self._rooms
            spoken = rooms.speaker.speak([asked.text])[0]
            if isinstance(spoken, SpeechError):
                raise spoken
            with tempfile.TemporaryDirectory(prefix="narrate-") as folder:
                path = Path(folder) / f"clip.{rooms.job.format}"
                rooms.speaker.finish(spoken, path, asked.text, rooms.delivery)
                return path.read_bytes(), rooms.job.format


def last_job(out: Folder) -> Job:
    """Return the settings of the last run in `out`; raises FlowError where there are none."""
    folder = paths.run_path(out, "x").parent
    try:
        account = read_file(folder / names_in(folder)[-1])
        return Job.model_validate(json.loads(account or b"")["job"])
    except (IndexError, OSError, ValueError, KeyError) as error:
        what = "the last run's settings cannot be read, so its voice is not known"
        raise FlowError(what, str(out / "runs"), "run narrate again") from error


def make_app(desk: Desk, token: str, hosts: Sequence[str], *, is_open: bool) -> FastAPI:
    """Return the web application; `is_open` where others can reach it: then every address needs the token."""
    app = FastAPI(title="narrate review", docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app, token, hosts, is_open=is_open)
    _serve_page(app, token)
    _serve_files(app, desk)
    _serve_data(app, desk)
    return app


def _guard(app: FastAPI, token: str, hosts: Sequence[str], *, is_open: bool) -> None:
    """Let nothing through that does not come from the page itself, and set what a browser may do."""

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        trouble = _trouble(request, token, hosts, is_open=is_open)
        response = PlainTextResponse(trouble, 403) if trouble else await call_next(request)
        response.headers.update(
            {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        )
        response.headers.setdefault("Cache-Control", "no-store")
        if is_open and not trouble and "token" in request.query_params:
            response.set_cookie("narrate", token, httponly=True, samesite="strict")
        return response


def _trouble(request: Request, token: str, hosts: Sequence[str], *, is_open: bool) -> str:
    """Return why a request is refused; empty where it is not."""
    host = request.headers.get("host", "")
    if host not in hosts:  # another site's name that leads here, a way around the browser's own rules
        return f"open the page at http://{hosts[0]}/"
    if is_open and not _same(token, request.query_params.get("token") or request.cookies.get("narrate") or ""):
        return "open the address with its token, as narrate review printed it"
    if request.method in ("GET", "HEAD"):
        return ""
    if request.headers.get("origin") != f"http://{host}":
        return "a change must come from the review page itself"
    return "" if _same(token, request.headers.get("x-narrate-token", "")) else "the token of this session is missing"


def _same(token: str, given: str) -> bool:
    return secrets.compare_digest(token.encode(), given.encode())


def _serve_page(app: FastAPI, token: str) -> None:
    @app.get("/")
    def home(request: Request) -> Response:
        return RedirectResponse(f"/report/?{request.url.query}" if request.url.query else "/report/")

    @app.get("/report/{name}")
    @app.get("/report/")
    def page(name: str = "index.html") -> Response:
        if name not in WEB:
            raise HTTPException(404, "there is no such page")
        text = web_file(name)
        if name == "index.html":
            told = f'content="review">\n<meta name="narrate-token" content="{token}">'
            text = text.replace('content="report">', told).replace("Narrated photos<", "Review of narrated photos<")
        return Response(text, media_type=_KINDS[Path(name).suffix])


def _serve_files(app: FastAPI, desk: Desk) -> None:
    @app.get("/report/thumbnails/{path:path}")
    def thumbnail(path: str) -> Response:
        return _file_below(paths.report_path(desk.out).parent / "thumbnails", path)

    @app.get("/audio/{path:path}")
    def clip(path: str) -> Response:
        return _file_below(desk.out / "audio", path)


def _file_below(folder: Folder, path: str) -> Response:
    """Return a file that lies in `folder` once links and dots are followed, and nothing else."""
    if not isinstance(folder, Path):
        return _object_below(folder, path)
    try:
        found = (folder / path).resolve(strict=True)
        inside = found.is_relative_to(folder.resolve()) and found.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise HTTPException(404, "there is no such file in this output folder")
    return FileResponse(found)


def _object_below(folder: Folder, path: str) -> Response:
    """Return a file in a store's folder; a store follows neither links nor dots, so a path with dots is refused."""
    is_plain = all(part not in ("", ".", "..") for part in path.split("/"))
    data = read_file(folder / path) if is_plain else None
    if data is None:
        raise HTTPException(404, "there is no such file in this output folder")
    return Response(data, media_type=mimetypes.guess_type(path)[0])


def _serve_data(app: FastAPI, desk: Desk) -> None:
    @app.get("/report/data/index.json")
    def index() -> Response:
        return JSONResponse(desk.index())

    @app.get("/report/data/rows.json")
    def rows(n: str) -> Response:
        return JSONResponse(_found(lambda: desk.cards([int(one) for one in n.split(",") if one][:_MAXIMUM_ROWS])))

    @app.post("/report/data/decide")
    def decide(asked: Asked) -> Response:
        try:
            return JSONResponse(_found(lambda: desk.decide(asked)))
        except MovedOnError:
            return JSONResponse(desk.cards([asked.number])[0], 409)

    @app.post("/report/data/speak")
    def speak(asked: Spoken) -> Response:
        clip, codec = _found(lambda: desk.speak(asked))
        return Response(clip, media_type=f"audio/{'mpeg' if codec == 'mp3' else codec}")


def _found(call: Callable[[], Any]) -> Any:
    """Return what `call` gives, or answer with its error in words."""
    try:
        return call()
    except (ValueError, IndexError) as error:
        raise HTTPException(404, "there is no such row; load the page again") from error
    except (FlowError, SpeechError) as error:
        raise HTTPException(400, str(error)) from error


def serve(out: Folder, who: str, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the review of `out` until Ctrl-C; `say` is told the address first. Raises FlowError where it cannot be."""
    import uvicorn

    desk, token = Desk(out, who), secrets.token_urlsafe(24)
    is_open = host not in LOOPBACK
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    names = [f"{name}:{port}" for name in (host, *LOOPBACK[:2])]
    address = f"http://{names[0]}/" + (f"?token={token}" if is_open else "")
    say(f"Review at {address} as {who}; Ctrl-C ends it. Decisions go to {paths.reviews_path(out)}")
    config = uvicorn.Config(make_app(desk, token, names, is_open=is_open), log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> Any:
    import socket

    family: Literal[socket.AddressFamily.AF_INET6, socket.AddressFamily.AF_INET]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # who comes before the server is up waits, and is not refused
    except OSError as error:
        listener.close()
        raise FlowError(f"cannot listen there ({error.strerror})", f"{host}:{port}", "give another --port") from error
    return listener
