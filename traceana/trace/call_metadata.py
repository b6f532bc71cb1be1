"""What an event's arguments say of one collective call."""

from traceana.trace.arguments import Arguments, first_input
from traceana.trace.columns import CallMetadata, ModuleName
from traceana.trace.lenient import ranks


def call_metadata(args: Arguments, name: str) -> CallMetadata:
    """The call, which is of `name` where the arguments do not name it."""
    nelems, dtype = args.in_nelems, args.dtype
    if args.collective is None:
        nelems, dtype = first_input(args)
    return CallMetadata(
        name=args.collective or name,
        dtype=dtype,
        in_nelems=nelems,
        out_nelems=args.out_nelems,
        group_size=args.group_size,
        group_name=args.group_name,
        group_ranks=ranks(args.group_ranks),
        seq=args.seq,
        backend=args.backend,
        library=args.library,
        sends_to=() if args.destination is None else (args.destination,),
        receives_from=() if args.source is None else (args.source,),
        in_split=ranks(args.in_split) or (),
        out_split=ranks(args.out_split) or (),
        site=args.site,
        module=_module(args),
        group_description=args.group_description,
    )


def _module(args: Arguments) -> ModuleName | None:
    if args.module is None and args.module_class is None:
        return None
    return ModuleName(path=args.module or "", kind=args.module_class, layer=args.layer)
