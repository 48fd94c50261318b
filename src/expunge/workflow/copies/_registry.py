"""The kinds of places where a model version may live outside the project: one file a kind."""

from expunge.core.registry import Registry

kinds = Registry("expunge.workflow.copies", "expunge.copies", "kind of copy")
