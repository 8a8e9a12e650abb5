"""Commands on accounts, one noun a file; each writes to the stream of the user or team concerned."""

from releasemgmt.accounts.commands.identities import Identity, link_identity, sign_in_by_provider, unlink_identity
from releasemgmt.accounts.commands.mappings import (
    accept_mapping,
    decline_mapping,
    end_mapping,
    map_group,
    withdraw_mapping,
)
from releasemgmt.accounts.commands.proposals import consent, decline, may_act_alone, objection, propose, withdraw
from releasemgmt.accounts.commands.roles import accept_role, decline_role, grant_role, revoke_role, withdraw_role
from releasemgmt.accounts.commands.users import (
    bootstrap_administrator,
    create_team,
    create_token,
    create_user,
    deactivate,
    edit_user,
    reactivate,
    remove_second_factor,
    rename_team,
    revoke_token,
    set_password,
    system,
    token_digest,
)

__all__ = [
    "Identity",
    "accept_mapping",
    "accept_role",
    "bootstrap_administrator",
    "consent",
    "create_team",
    "create_token",
    "create_user",
    "deactivate",
    "decline",
    "decline_mapping",
    "decline_role",
    "edit_user",
    "end_mapping",
    "grant_role",
    "link_identity",
    "map_group",
    "may_act_alone",
    "objection",
    "propose",
    "reactivate",
    "remove_second_factor",
    "rename_team",
    "revoke_role",
    "revoke_token",
    "set_password",
    "sign_in_by_provider",
    "system",
    "token_digest",
    "unlink_identity",
    "withdraw",
    "withdraw_mapping",
    "withdraw_role",
]
