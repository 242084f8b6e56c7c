"""The tables of all services: one set for what is published, laid out beforehand when that is asked for."""

from __future__ import annotations

from dal_sky import Service

from emberline.vo.server.database import catalogues_of


def test_all_services_share_one_set_of_tables(dal: Service) -> None:
    assert catalogues_of(dal.published) is catalogues_of(dal.published)


def test_tables_can_be_laid_out_beforehand(dal: Service) -> None:
    catalogues = catalogues_of(dal.published)
    catalogues.prepare()
    for item in dal.published.snapshot():
        assert catalogues.ready(item)
        assert len(catalogues.table(item)) == item.summary.rows


def test_queries_of_one_address_share_a_data_base_and_few_are_kept(dal: Service) -> None:
    catalogues = catalogues_of(dal.published)
    first = catalogues.runner("http://a/vo")
    assert catalogues.runner("http://a/vo") is first
    for number in range(6):
        catalogues.runner(f"http://host{number}/vo")
    assert catalogues.runner("http://a/vo") is not first


def test_what_is_kept_lies_where_only_the_owner_reads(dal: Service) -> None:
    catalogues_of(dal.published).prepare()
    folder = dal.workspace.folder / ".emberline"
    assert (folder / "vo" / "alpha").is_dir()
    assert folder.stat().st_mode & 0o077 == 0
