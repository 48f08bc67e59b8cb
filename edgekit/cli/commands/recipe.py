"""List, show, check and fetch the data of recipes; print their JSON Schema."""

import click

from edgekit.cli.group import HelpfulGroup
from edgekit.cli.options import complete_recipes, recipe_argument
from edgekit.cli.output import Output, columns, example, outline, with_output


@click.group(cls=HelpfulGroup, epilog=example("edgekit recipe list"))
def command() -> None:
    """List, show, check and fetch the data of recipes; print their JSON Schema."""


@command.command("list", epilog=example("edgekit recipe list", "edgekit recipe list --json"))
@with_output
def list_recipes(out: Output) -> None:
    """List the recipes that a name finds: those in ./recipes, and edgekit's own."""
    from edgekit.cli.listing import tell_available
    from edgekit.config.lookup import Folder
    from edgekit.config.recipe import read_recipe

    tell_available(out, Folder.RECIPES, lambda path: read_recipe(str(path)).title)


@command.command("show", epilog=example("edgekit recipe show mnist-cnn"))
@recipe_argument
@with_output
def show_recipe(out: Output, recipe: str) -> None:
    """Show a recipe with every setting it leaves at its default."""
    from edgekit.config.recipe import read_recipe
    from edgekit.core import wire

    plain = wire.plain(read_recipe(recipe))
    out.result(outline(plain), plain)


@command.command("validate", epilog=example("edgekit recipe validate my-model/recipe.yaml"))
@click.argument("recipes", nargs=-1, required=True, shell_complete=complete_recipes)
@with_output
def validate_recipes(out: Output, recipes: tuple[str, ...]) -> None:
    """Check recipes without running any of their code; every problem is told at once."""
    from edgekit.cli.validation import validate
    from edgekit.config.recipe import read_recipe

    validate(out, "recipe", recipes, read_recipe)


@command.command("fetch", epilog=example("edgekit recipe fetch mnist-cnn"))
@recipe_argument
@with_output
def fetch_data(out: Output, recipe: str) -> None:
    """Download the data packages of a recipe, so that it runs offline from then on."""
    from edgekit.config.recipe import read_recipe
    from edgekit.config.sections import FunctionData
    from edgekit.fetching.packages import fetch

    data = read_recipe(recipe).data
    names = data.packages if isinstance(data, FunctionData) else ()
    with out.progress() as progress:
        places = {name: str(fetch(name, download=True, progress=progress)) for name in names}
    text = columns(list(places.items())) or f"{recipe} needs no package"
    out.result(text, places)


@command.command("schema", epilog=example("edgekit recipe schema > recipe.schema.json"))
@with_output
def print_schema(out: Output) -> None:
    """Print the JSON Schema of recipes, for editors that complete and check YAML."""
    import json

    from edgekit.config.sections import Sections
    from edgekit.config.source import schema_of

    schema = schema_of(Sections)
    out.result(json.dumps(schema, indent=1), schema)
