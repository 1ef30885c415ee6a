"""Cupcake's own rules: what takes part in a project, who is routed, what decisions mean. Pure but for `discovery`."""
