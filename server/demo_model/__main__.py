"""The one command of the recipe: ``python -m demo_model prepare|train|export|evaluate|all``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from demo_model import evaluate, prepare
from demo_model.prepare import PrepareSettings
from demo_model.speech import RecipeError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo_model", description="Make the bundled model demo-en.")
    parser.add_argument("step", choices=("prepare", "train", "export", "evaluate", "all"))
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--speech", type=Path, help="recordings of people (README); absent: synthetic speech only")
    parser.add_argument("--init", type=Path, help="CTranslate2 directory or checkpoint to start from")
    parser.add_argument("--minutes", type=float, default=60, help="training time (default %(default)s)")
    parser.add_argument("--clips", type=int, default=40_000, help="training clips (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes that make clips, and threads of training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="train without bfloat16 autocast")
    parser.add_argument("--out", type=Path, help="where to export to (default WORK/demo-en)")
    parser.add_argument(
        "--mean-with", type=Path, action="append", default=[], help="export: the mean with this checkpoint; repeatable"
    )
    parser.add_argument("--model", type=Path, action="append", help="evaluate: directory; repeat to compare")
    return parser


def _train(options: argparse.Namespace) -> None:
    from demo_model.train import Training, TrainSettings

    settings = TrainSettings(
        options.work,
        minutes=options.minutes,
        init=options.init,
        threads=options.jobs,
        bf16=not options.float32,
        seed=options.seed,
    )
    Training(settings).run()


def _export(options: argparse.Namespace) -> None:
    from demo_model.average import mean
    from demo_model.export import export
    from demo_model.tokenizer import Tokens

    shape, state = mean([options.work / "checkpoint.pt", *options.mean_with])
    export(shape, state, Tokens(options.work / "tokenizer.json"), _target(options))


def _target(options: argparse.Namespace) -> Path:
    target: Path = options.out or options.work / "demo-en"
    return target


def _evaluate(options: argparse.Namespace) -> None:
    models: list[Path] = options.model or [_target(options)]
    columns = {str(model): evaluate.measure(model, options.work / "evaluation") for model in models}
    print(evaluate.table(columns))
    evaluate.write_report(columns, options.work / "evaluation.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step, or all of them with training beginning while clips are still made."""
    options = _parser().parse_args(arguments)
    settings = PrepareSettings(options.work, options.speech, options.init, options.clips, options.jobs, options.seed)
    try:
        if options.step in ("prepare", "all"):
            processes = prepare.prepare(settings)
            if options.step == "prepare":
                prepare.finish(processes)
            else:
                prepare.wait_for_first(settings, processes)
        if options.step in ("train", "all"):
            _train(options)
        if options.step == "all":
            prepare.finish(processes)
        if options.step in ("export", "all"):
            _export(options)
        if options.step in ("evaluate", "all"):
            _evaluate(options)
    except RecipeError as error:
        print(f"demo_model: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
