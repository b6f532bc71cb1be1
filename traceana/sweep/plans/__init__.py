"""Plans that come with traceana, one YAML each."""
