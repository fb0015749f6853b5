"""What tables of the configuration have in common. Knows TOML's types, but no file and no line.

The description of a required key explains it to who left it out.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from botdaemon.config.values import (
    Credential,
    File,
    Variable,
)


class Table(BaseModel):
    """A TOML table: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class TokenConfig(Table):
    token_file: File | None = None
    """a file that holds the token, and nothing else"""
    token_env: Variable | None = None
    """an environment variable that holds the token"""
    token_credential: Credential | None = None
    """a systemd credential (LoadCredential=) that holds the token"""

    @property
    def has_token(self) -> bool:
        """Whether a token is named."""
        return bool(self.token_file or self.token_env or self.token_credential)

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if sum(map(bool, (self.token_file, self.token_env, self.token_credential))) > 1:
            raise ValueError("name one of token_file, token_env and token_credential, not several")
        return self
