"""The methods of the fake Slack that open windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_slack_chat import not_shown
from fake_slack_web import invalid, method
from fake_slack_windows import problems

if TYPE_CHECKING:
    from fake_slack_team import JSON
    from fake_slack_web import Asked


@method("views.open")
def open_view(asked: Asked) -> JSON:
    view = asked.structure("view", dict, "invalid_arguments")
    if view is None:
        raise invalid("[ERROR] missing required field: view")
    if wrong := problems(view) or not_shown(asked, view["blocks"]):
        raise invalid(*wrong)
    return {"view": asked.access.windows.show(asked.required("trigger_id"), view)}
