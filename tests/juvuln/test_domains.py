"""All domains, as the domain file names them."""

from pathlib import Path

from juvuln.database import DatabaseError
from juvuln.domains.domain import DomainChanges
from juvuln.domains.domains import Domains
from shared.health import Readiness
from tests.juvuln.support import refreshing_hourly


async def test_what_is_in_a_new_domain_file_is_followed_even_while_the_record_is_away(tmp_path: Path) -> None:
    gone: list[DomainChanges] = []

    async def follow(change: DomainChanges) -> None:
        gone.append(change)
        raise DatabaseError("record of runs", "is away")

    refreshing = refreshing_hourly()
    file = tmp_path / "domains.yaml"
    file.write_text(f"domains: {{left: 'sqlite:///{tmp_path}/1.db', moved: 'sqlite:///{tmp_path}/2.db'}}\n")
    domains = Domains(file, Readiness(), refreshing)
    await domains.start(follow)
    file.write_text(f"domains: {{moved: 'sqlite:///{tmp_path}/3.db', new: 'sqlite:///{tmp_path}/4.db'}}\n")
    await domains.reload()
    assert {domain.name: domain.url[-4:] for domain in domains.all()} == {"moved": "3.db", "new": "4.db"}
    assert {change.domain: change.moved for change in gone} == {"left": False, "moved": True}
    await domains.close()
