"""The tables of documented fields in docs/routes.md: ``python -m tests.events.field_tables`` prints them."""

from collections import defaultdict

from transforms.duo.log_types import LOG_TYPES


def tables() -> str:
    lines = ["| log | type | fields |", "|---|---|---|"]
    for name, log_type in LOG_TYPES.items():
        by_type = defaultdict(list)
        for path, kind in log_type.row_fields.items():
            if not path.startswith("surfaced_auth."):
                by_type[kind].append(f"`{path}`")
        if name == "trustmonitor":
            by_type["as in auth"].append("`surfaced_auth.…`")
        lines += [f"| {name} | {kind} | {', '.join(paths)} |" for kind, paths in by_type.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
