"""What pyproject.toml can say by experimental keys only: the compiled scan, without which reading is slower."""

from setuptools import Extension, setup

setup(
    ext_modules=[Extension("traceana.trace.scan", ["traceana/trace/scan.c"], py_limited_api=True, optional=True)],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
