"""The URLs of change requests, rounds, votes, delegations, policies, boards and meetings."""

from typing import Any

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from approvals.api.board import BoardViewSet, MeetingViewSet
from approvals.api.change import ChangeViewSet
from approvals.api.change_model import ChangeModelRoundView, ChangeModelViewSet
from approvals.api.policy import DelegationViewSet, PolicyViewSet
from approvals.api.pre_approval import PreApprovalView
from approvals.api.round import ChangeRoundView, ModelRoundView, ReleaseRoundView, RoundViewSet

router = SimpleRouter()
router.register("boards", BoardViewSet, basename="board")
router.register("meetings", MeetingViewSet, basename="meeting")
router.register("changes", ChangeViewSet, basename="change")
router.register("change-models", ChangeModelViewSet, basename="change-model")
router.register("approvals", RoundViewSet, basename="approval")
router.register("delegations", DelegationViewSet, basename="delegation")
router.register("approval-policies", PolicyViewSet, basename="approval-policy")

PRE_APPROVAL = "release-models/<str:number>/pre-approval"
actions: dict[str, Any] = {"get": "show", "post": "open"}
urlpatterns: list[URLPattern | URLResolver] = [
    path("releases/<str:number>/approval/", ReleaseRoundView.as_view(actions), name="release-approval"),
    path("changes/<str:number>/approval/", ChangeRoundView.as_view(actions), name="change-approval"),
    path("release-models/<str:number>/approval/", ModelRoundView.as_view(actions), name="model-approval"),
    path(f"{PRE_APPROVAL}/", PreApprovalView.as_view({"get": "show"}), name="pre-approval"),
    path(f"{PRE_APPROVAL}/end/", PreApprovalView.as_view({"post": "end"}), name="pre-approval-end"),
    path("change-models/<str:number>/approval/", ChangeModelRoundView.as_view(actions), name="change-model-approval"),
    *router.urls,
]
