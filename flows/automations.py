"""What Prefect's server does by itself: a silent run is marked Crashed, and somebody is told of failed ones."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flows.errors import FlowError

if TYPE_CHECKING:
    from uuid import UUID

ENDS = ("Completed", "Failed", "Cancelled", "Crashed")
"""Events of a flow run after which no sign of life is expected."""

BEATS = 3
"""Signs of life that a run may miss."""


def set_up(deployment: str, identity: "UUID", told: "UUID | None", heartbeat_s: int, ui: str) -> None:
    """Create or renew the automations of a deployment, by name and id: `told` is the block that tells somebody.

    `ui` is where the server's pages are.
    """
    within_s = BEATS * heartbeat_s
    about = f"Marks a run Crashed that gives no sign of life for {within_s} s, so that the next one can begin."
    name = f"narrate: a silent run of {deployment} is a crashed one"
    _put(name, about, _silence(identity, within_s), _mark_crashed())
    name = f"narrate: tell of failed runs of {deployment}"
    if told is not None:
        _put(name, "Tells of runs that are Failed or Crashed.", _trouble(identity), _tell(told, ui))
    else:
        _drop(name)


def _silence(identity: "UUID", within_s: int) -> Any:
    """Return the trigger for a run that was alive and gives no sign of life for so long."""
    from prefect.automations import EventTrigger, Posture, ResourceSpecification

    return EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=_of(identity),
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in ENDS)},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=within_s),
    )


def _mark_crashed() -> Any:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState

    message = "No sign of life: the run was killed, or its machine is away. The next run does what is left."
    return ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)


def _trouble(identity: "UUID") -> Any:
    """Return the trigger for a run of the deployment that failed or crashed."""
    from prefect.automations import EventTrigger, Posture, ResourceSpecification

    return EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=_of(identity),
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        posture=Posture.Reactive,
        threshold=1,
    )


def _tell(block: "UUID", ui: str) -> Any:
    from prefect.events.actions import SendNotification

    page = f"{{{{ flow_run|ui_url or '{ui}/runs/flow-run/' ~ flow_run.id }}}}"  # a server seldom knows its own address
    body = f"{{{{ flow_run.name }}}}: {{{{ flow_run.state.name }}}}. {{{{ flow_run.state.message }}}}\n{page}"
    return SendNotification(block_document_id=block, subject="narrate: {{ flow_run.state.name }}", body=body)


def _of(identity: "UUID") -> Any:
    """Return what matches the events of a deployment's runs: by its id, for a sign of life does not have its name."""
    from prefect.automations import ResourceSpecification

    return ResourceSpecification({"prefect.resource.id": f"prefect.deployment.{identity}"})


def _put(name: str, about: str, trigger: Any, action: Any) -> None:
    """Create the automation of this name, or renew the one that stands."""
    from prefect.automations import AutomationCore

    wanted = AutomationCore(name=name, description=f"{about} Set up by narrate.", trigger=trigger, actions=[action])

    async def put(client: Any, found: Sequence[Any]) -> None:
        for automation in found[:1]:
            await client.update_automation(automation.id, wanted)
        if not found:
            await client.create_automation(wanted)

    _at(name, put)


def _drop(name: str) -> None:
    """Remove the automation of this name, where there is one."""

    async def drop(client: Any, found: Sequence[Any]) -> None:
        for automation in found:
            await client.delete_automation(automation.id)

    _at(name, drop)


def _at(name: str, act: Callable[[Any, Sequence[Any]], Awaitable[None]]) -> None:
    """Call `act` with the server's client and the automations of this name."""
    from prefect.client.orchestration import get_client
    from prefect.utilities.asyncutils import run_coro_as_sync

    async def find_and_act() -> None:
        async with get_client() as client:
            await act(client, await client.read_automations_by_name(name))

    run_coro_as_sync(find_and_act())


def block_of(deployment: str, notify: str) -> "UUID | None":
    """Return the id of the block that tells somebody: one of the user's own, or a webhook made for an address.

    Raises FlowError where there is no such block.
    """
    from prefect.blocks.core import Block
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    if not notify:
        return None
    if not notify.startswith(("http://", "https://")):
        try:
            block: Any = Block.load(notify)
        except ValueError as error:
            mend = "make it in the UI under Blocks (e-mail: Sendgrid), or give a web address that takes a POST"
            raise FlowError("there is no such notification block", f"--notify {notify}", mend) from error
        identity: UUID = block._block_document_id  # noqa: SLF001 - the only place where it stands
        return identity
    name = f"narrate-{''.join(letter if letter.isalnum() else '-' for letter in deployment.lower())}"
    told = {"subject": "{{subject}}", "text": "{{body}}"}
    webhook: Any = CustomWebhookNotificationBlock.model_validate({"name": name, "url": notify, "json_data": told})
    saved: UUID = webhook.save(name, overwrite=True)
    return saved
