"""The predictions API in front of two models of a workbench: the gateway, with their protocol behind it."""
