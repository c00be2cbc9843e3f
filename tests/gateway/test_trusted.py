"""The file of trusted documents, and gateways that go by it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.board import DOCUMENTS
from gateway.lifespan import Runtime
from gateway.trusted import TrustedDocumentsError, read_trusted_documents
from schema.core.execution import GraphQLRequest, Refusal, Refused
from tests.fixtures.gateway import Gateway, open_gateway, principal, settings_for

ME = "query Me { me { name } }"
SKU = "query Sku($id: ID!) { product(id: $id) { sku } }"
NOWHERE = "postgresql://nowhere"


def digest(text: str) -> str:
    """Return the SHA-256 hash of a document."""
    return sha256(text.encode()).hexdigest()


def written(path: Path, content: Any) -> Path:
    """Write a file of trusted documents."""
    file = path / "documents.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def request(**given: Any) -> GraphQLRequest:
    """Return a request; without a document unless there is one."""
    return GraphQLRequest(**{"query": None, **given})


@pytest.mark.parametrize(
    "content",
    [
        {digest(ME): ME},
        {f"sha256:{digest(ME)}": ME},
        {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [{"id": digest(ME), "body": ME, "name": "Me", "type": "query"}],
        },
    ],
)
def test_the_files_of_the_usual_tools(tmp_path: Path, content: Any) -> None:
    """A map of hashes or the manifest of Apollo: the ids get the prefix of the appendix."""
    assert read_trusted_documents(written(tmp_path, content)) == {f"sha256:{digest(ME)}": ME}


def test_ids_of_ones_own(tmp_path: Path) -> None:
    """A document with an id of its own is found by its hash as well."""
    file = written(tmp_path, {"x-me-1": ME})
    assert read_trusted_documents(file) == {"x-me-1": ME, f"sha256:{digest(ME)}": ME}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", r"line 1: "),
        ("[]", "must be a JSON object"),
        ("{}", "at least one"),
        ({"a": 5}, "'a' must be a string with a document"),
        ({digest(ME): SKU}, "is not the SHA-256 hash"),
        ({"format": "apollo-persisted-query-manifest", "version": 2}, "version"),
        ({"format": "apollo-persisted-query-manifest", "version": 1}, "no list of operations"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: Any, told: str) -> None:
    """The error names the file and what is wrong."""
    with pytest.raises(TrustedDocumentsError, match=told) as raised:
        read_trusted_documents(written(tmp_path, content))
    assert "documents.json" in str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    """A name that leads nowhere stops the start."""
    with pytest.raises(TrustedDocumentsError, match="No such file"):
        read_trusted_documents(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("query Broken { me { name }", "Syntax Error"),
        ("query Wrong { me { nothing } }", "Cannot query field 'nothing'"),
        ("{ " + "me { a: name } " * 300 + "}", "Aliases limit exceeded"),
    ],
)
def test_a_document_that_cannot_run_stops_the_start(tmp_path: Path, text: str, told: str) -> None:
    """A release that does not fit its clients is noticed before it takes requests."""
    settings = settings_for(NOWHERE, trusted_documents=written(tmp_path, {"x-bad": text}))
    with pytest.raises(TrustedDocumentsError, match=told) as raised:
        Runtime(settings, alone=False)
    assert "x-bad" in str(raised.value)


def test_trusting_nobody_is_a_mistake() -> None:
    """A gateway that would refuse every request does not start."""
    with pytest.raises(TrustedDocumentsError, match="GATEWAY_TRUSTED_DOCUMENTS"):
        Runtime(settings_for(NOWHERE, document_admission="trusted"), alone=False)


async def run(gateway: Gateway, **given: Any) -> Any:
    """Run a request and return its data."""
    prepared = gateway.runtime.executor.prepare(request(**given), known_caller=True)
    who = principal()
    answer = await gateway.runtime.executor.execute(
        prepared, lambda: gateway.runtime.open_context(who, "test")
    )
    assert not answer.errors
    return answer.data


def refused(gateway: Gateway, **given: Any) -> tuple[Refusal, str]:
    """Return why a request is refused: the kind and the code."""
    with pytest.raises(Refused) as raised:
        gateway.runtime.executor.prepare(request(**given), known_caller=True)
    return raised.value.kind, raised.value.errors[0]["extensions"]["code"]


def admissions(gateway: Gateway) -> dict[str, float]:
    """Return how often documents were admitted, by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for family in gateway.runtime.metrics.registry.collect()
        if family.name == "gateway_document_admissions"
        for sample in family.samples
    }


async def test_trusted_documents_alone(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They and those of the board run by id and text, without being parsed; others are refused."""
    file = written(tmp_path, {digest(ME): ME, "x-sku": SKU})
    async with open_gateway(
        database_url, trusted_documents=file, document_admission="trusted", document_cache_size=1
    ) as gateway:
        monkeypatch.setattr("schema.core.documents.parse", None)
        for given in (
            {"document_id": f"sha256:{digest(ME)}"},
            {"query": ME},
            {"query": ME, "document_id": f"sha256:{digest(ME)}"},
        ):
            assert await run(gateway, **given) == {"me": {"name": "Test"}}
        assert await run(gateway, document_id="x-sku", variables={"id": "UHJvZHVjdDox"})
        untrusted = (Refusal.UNTRUSTED, "DOCUMENT_NOT_TRUSTED")
        for document in DOCUMENTS.values():
            asked = request(query=document, variables={"detailed": True})
            gateway.runtime.executor.prepare(asked, known_caller=True)
        assert refused(gateway, query="{ me { name } }") == untrusted
        assert refused(gateway, query="{ __schema { types { name } } }") == untrusted
        assert refused(gateway, document_id="x-other") == untrusted
        assert refused(gateway, document_id=f"sha256:{digest('{ me { id } }')}") == untrusted
        assert admissions(gateway) == {"trusted": 7, "refused": 4}
        assert gateway.runtime.engine is not None
        assert not gateway.runtime.engine.fallbacks


async def test_an_audit(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything runs; what would be refused is counted, and told once."""
    async with open_gateway(
        database_url,
        trusted_documents=written(tmp_path, {digest(ME): ME}),
        document_admission="audit",
    ) as gateway:
        for _ in range(3):
            await run(gateway, query="query Other { me { id: name } }")
        await run(gateway, query=ME)
        assert admissions(gateway) == {"untrusted": 3, "trusted": 1}
    lines = [line for line in capsys.readouterr().out.splitlines() if "untrusted document" in line]
    assert len(lines) == 1
    assert digest("query Other { me { id: name } }") in lines[0]


async def test_automatic_persisted_queries(gateway: Gateway) -> None:
    """A hash nobody knows is asked for once with its document, and known from then on."""
    text = "query Automatic { me { kind } }"
    id_ = f"sha256:{digest(text)}"
    unknown = (Refusal.DOCUMENT, "PERSISTED_QUERY_NOT_FOUND")
    assert refused(gateway, document_id=id_) == unknown
    wrong = (Refusal.DOCUMENT, "VALIDATION")
    assert refused(gateway, document_id=id_, query=ME) == wrong
    assert refused(gateway, document_id=id_) == unknown
    for _ in range(2):
        assert await run(gateway, document_id=id_, query=text) == {"me": {"kind": "user"}}
    assert await run(gateway, document_id=id_) == {"me": {"kind": "user"}}
    assert refused(gateway, document_id=id_, query=ME) == wrong


async def test_a_document_known_by_its_text_gets_its_id_later(gateway: Gateway) -> None:
    """It does not matter in which of the two ways a document came first."""
    text = "query Later { me { kind } }"
    id_ = f"sha256:{digest(text)}"
    await run(gateway, query=text)
    await run(gateway, query=text, document_id=id_)
    assert await run(gateway, document_id=id_) == {"me": {"kind": "user"}}


async def test_strangers_leave_nothing_behind(database_url: str) -> None:
    """What a caller without a credential sends is not kept for others."""
    text = "{ __schema { queryType { name } } }"
    id_ = f"sha256:{digest(text)}"
    async with open_gateway(database_url, anonymous_introspection=True) as gateway:
        asked = request(query=text, document_id=id_)
        gateway.runtime.executor.prepare(asked, known_caller=False)
        assert refused(gateway, document_id=id_)[1] == "PERSISTED_QUERY_NOT_FOUND"


async def test_what_is_forgotten_is_asked_for_again(database_url: str) -> None:
    """Documents and their ids are bounded together."""
    async with open_gateway(database_url, document_cache_size=2) as gateway:
        texts = [f"query N{n} {{ me {{ name }} }}" for n in range(3)]
        for text in texts:
            await run(gateway, query=text, document_id=f"sha256:{digest(text)}")
        assert refused(gateway, document_id=f"sha256:{digest(texts[0])}")[1].endswith("NOT_FOUND")
        for text in texts[1:]:
            await run(gateway, document_id=f"sha256:{digest(text)}")
