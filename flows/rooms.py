"""The captioner and the voice of a run: named at once, loaded once, on first use."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.alt_text import policy_digest
from captioner.confidence import load_calibration
from captioner.errors import CaptionerError
from captioner.hedging import Certainty
from captioner.public import prompt_for
from captioner.together import describe_together
from captioner.weights import Description, describe
from flows import paths
from flows.digests import Digests
from flows.job import Job
from flows.learned import captioner_of
from flows.reviews import Reviews
from speech.encoding import Delivery
from speech.errors import SpeechError
from speech.lexicon import load_lexicon
from speech.manner import Manner
from speech.signing import Signature
from speech.voices import resolve_voice

if TYPE_CHECKING:
    from captioner.captioning import AnyCaptioner
    from captioner.records import Caption
    from flows.raw import RawClips
    from speech.speaking import Speaker

AUDIO_VERSION = 3
"""Raised when mastering or encoding changes what the same settings give."""


class Rooms:
    """What both rooms offer to one run; nothing heavy is imported before a model is asked for."""

    def __init__(self, job: Job) -> None:
        """Find the captioner and the voice by name; raises CaptionerError or SpeechError where there is none."""
        self.job = job
        self.captioner_name = captioner_of(job.out, job.captioner)
        self.captioner_info = describe(self.captioner_name, job.prompt)
        if job.also:
            second = describe(job.also, prompt_for(job.also, job.prompt))
            self.captioner_info = describe_together(self.captioner_info, second)
        self.least = _least(job, self.captioner_info)
        self.voice = resolve_voice(job.voice, job.speaker, job.language, job.accept_licence, job.quality)
        self.delivery = _delivery(job)
        self.manner = _manner(job, self.voice.language)
        delivery = f"{job.format} {job.profile} {job.sample_rate} {_digest_of(job.sign_certificate)}"
        audio = f"{AUDIO_VERSION} {delivery} {self.manner.digest}"
        self.digests = Digests(
            captioner=self.captioner_info.digest,
            alt_text=policy_digest(
                job.policy, neutral=job.neutral_people, most_wrong=job.most_wrong, unsure=job.unsure
            ),
            voice=self.voice.digest,
            audio=hashlib.sha256(audio.encode()).hexdigest()[:16],
        )

    def certainty(self, caption: "Caption") -> Certainty:
        """Return how sure a caption is, and what the job wants of an unsure one."""
        return Certainty(caption.confidence, caption.doubts, self.least, self.job.unsure)

    @cached_property
    def reviews(self) -> Reviews:
        """What people decided, as it stands at the start of the run."""
        return Reviews(self.job.out)

    @cached_property
    def device(self) -> str:
        """Where the models run, once `auto` is decided."""
        from flows.devices import choose_device

        return choose_device(self.job.device)

    @cached_property
    def captioner(self) -> "AnyCaptioner":
        """The captioner, loaded."""
        from captioner.captioning import Wanted

        job = self.job
        return Wanted(self.captioner_name, job.also, job.prompt, job.trust_remote_code).load(self.device)

    @cached_property
    def speaker(self) -> "Speaker":
        """The voice, loaded."""
        from speech.speaking import Speaker

        return Speaker.load(self.voice, device=self.device, manner=self.manner)

    @cached_property
    def raw_clips(self) -> "RawClips":
        """The raw clips that earlier runs kept."""
        from flows.raw import RawClips

        return RawClips(paths.raw_folder(self.job.out), self.digests.voice)

    def share_cores(self, stage: str) -> None:
        """Let the models use the stage's share of the cores, where other shards' stages run beside it."""
        if self.job.overlap and "device" in vars(self):
            from flows.devices import share_cores

            share_cores(stage)

    def load(self) -> None:
        """Load both models now rather than on first use."""
        _ = self.captioner, self.speaker


def _least(job: Job, captioner: Description) -> float:
    """Return the confidence below which a caption is hedged; raises CaptionerError where it has none."""
    if job.most_wrong is None:
        return 0.0
    calibration = load_calibration(captioner.calibration, captioner.weights_digest)
    if calibration is None:
        together = " and --also" if job.also else ""
        mend = f"run narrate calibrate DATA with the same --captioner{together}, or leave --max-wrong away"
        raise CaptionerError("the captioner was not calibrated, so nobody knows when it is wrong", captioner.name, mend)
    return calibration.threshold(job.most_wrong / 100)


def _delivery(job: Job) -> Delivery:
    """Return what the job wants of a clip; raises SpeechError for what there is not, and where it cannot be signed."""
    signature = None
    if job.sign_certificate is not None and job.sign_key is not None:
        signature = Signature(job.sign_certificate, job.sign_key)
    elif job.sign_certificate is not None or job.sign_key is not None:
        raise SpeechError("signing takes a certificate and its key", mend="give --sign-certificate and --sign-key")
    delivery = Delivery(job.format, job.profile, job.sample_rate, signature)
    delivery.check()
    return delivery


def _manner(job: Job, language: str) -> Manner:
    """Return how the job wants texts to be spoken; raises SpeechError where that does not fit the voice."""
    lexicon = load_lexicon(job.lexicon) if job.lexicon is not None else None
    manner = Manner(job.pause, lexicon, job.check_speech, job.bad_clips)
    manner.check(language)
    return manner


def _digest_of(file: Path | None) -> str:
    """Return the digest of a file's bytes; nothing where none was named."""
    return hashlib.sha256(file.expanduser().read_bytes()).hexdigest()[:16] if file else ""
