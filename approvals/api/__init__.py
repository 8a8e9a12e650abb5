"""The REST face of approvals: translate, call one command, render."""
