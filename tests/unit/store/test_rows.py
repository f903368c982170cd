"""Columns, items and parameters by name, as PostgreSQL sees them."""

from dataclasses import dataclass

import pytest

from chatwren.store.database import Database
from chatwren.store.rows import Columns, Given, named

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Pet:
    name: str
    legs: int


@dataclass(frozen=True, slots=True)
class Keeper:
    name: str
    wants: str | None
    pet: Pet | None


PETS = Given[Pet]("p", legs="integer", name="text", loud=("text", lambda pet: f"{pet.name.upper()}!"))


async def test_a_row_makes_several_and_has_other_columns_beside_them(db: Database) -> None:
    keeper = Columns(Keeper, "k", wants="nullif(k.wanted, '')", pet=None)
    pet = Columns(Pet, "p", legs="2 * p.pairs")
    async with db.connection() as connection:
        row = await connection.fetchrow(
            f"""
            SELECT 7 AS name, {pet}, {keeper}
            FROM (VALUES ('Alice', '')) AS k (name, wanted), (VALUES (2, 'Rex')) AS p (pairs, name)
            """
        )
    assert keeper.of(row, pet=pet.of(row)) == Keeper("Alice", None, Pet("Rex", 4))
    assert (row["name"], row["Pet.name"]) == (7, "Rex")


@pytest.mark.parametrize("pets", [[], [Pet("Rex", 4)], [Pet("Rex", 4), Pet("Tweety", 2)]])
async def test_items_are_a_table_whose_columns_have_their_values(db: Database, pets: list[Pet]) -> None:
    async with db.connection() as connection:
        rows = await connection.fetch(
            *PETS.asking(f"SELECT p.* FROM {PETS} WHERE legs > :most ORDER BY name", pets, most=1)
        )
    assert [dict(row) for row in rows] == [
        {"legs": pet.legs, "name": pet.name, "loud": f"{pet.name.upper()}!"} for pet in pets
    ]


def test_parameters_are_numbered_in_their_order_and_types_of_casts_are_none() -> None:
    statement = "SELECT :b, :a::text[], now()::text, '12:30', x[1:2] WHERE a = :a AND :b::int > 0"
    assert named(statement, a=1, b=2) == (
        "SELECT $1, $2::text[], now()::text, '12:30', x[1:2] WHERE a = $2 AND $1::int > 0",
        2,
        1,
    )
    again, other = (named(statement, a=a, b=0) for a in (3, 4))
    assert again[0] is other[0], "each text is made once: PostgreSQL knows it by then"


def test_a_parameter_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="b"):
        named("SELECT :a, :b", a=1)
