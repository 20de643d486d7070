"""Every operation of Pinecone's Python client against the server at PINECONE_URL, which takes PINECONE_KEY.

Cases share a client and an index, and each has a namespace of its own.
"""

import asyncio
import os

from cases import case, equal, raises, run
from pinecone import AsyncPinecone, Pinecone, ServerlessSpec, SparseValues, Vector
from pinecone.errors import exceptions as errors

url = os.environ["PINECONE_URL"]
key = os.environ["PINECONE_KEY"]
client = Pinecone(api_key=key, host=url)
spec = ServerlessSpec(cloud="aws", region="us-east-1")
client.indexes.create(name="shared", dimension=2, metric="cosine", spec=spec)
index = client.index(name="shared")


def seed(namespace):
    index.upsert(
        vectors=[
            ("a", [1.0, 0.0], {"genre": "action", "year": 2020, "tags": ["x", "y"]}),
            Vector(id="b", values=[0.0, 1.0], metadata={"genre": "drama", "year": 2021}),
            {"id": "c", "values": [3.0, 4.0]},
        ],
        namespace=namespace,
    )


@case
def creates_describes_lists_configures_and_deletes_an_index():
    made = client.indexes.create(
        name="made", dimension=3, metric="euclidean", spec=spec, tags={"team": "x"}
    )
    equal((made.name, made.status.ready, made.status.state), ("made", True, "Ready"))
    told = client.indexes.describe("made")
    equal((told.dimension, told.metric, told.vector_type), (3, "euclidean", "dense"))
    equal((told.deployment.cloud, told.deployment.region), ("aws", "us-east-1"))
    equal((told.tags, told.deletion_protection), ({"team": "x"}, "disabled"))
    assert client.indexes.exists("made") and not client.indexes.exists("unknown")
    assert "made" in [one.name for one in client.indexes.list()]
    client.indexes.configure("made", deletion_protection="enabled", tags={"team": "", "b": "c"})
    equal(client.indexes.describe("made").tags, {"b": "c"})
    raises(errors.ForbiddenError, "Deletion protection is enabled", lambda: client.indexes.delete("made"))
    client.indexes.configure("made", deletion_protection="disabled")
    client.indexes.delete("made")
    raises(errors.NotFoundError, "made", lambda: client.indexes.describe("made"))


@case
def refuses_an_index_that_exists():
    raises(
        errors.ConflictError,
        "already exists",
        lambda: client.indexes.create(name="shared", dimension=2, metric="cosine", spec=spec),
    )


@case
def creates_an_index_from_a_schema():
    schema = {
        "fields": {
            "_values": {"type": "dense_vector", "dimension": 4, "metric": "dotproduct"},
            "_sparse_values": {"type": "sparse_vector"},
        }
    }
    made = client.indexes.create(name="schema", schema=schema)
    equal((made.dimension, made.metric, made.vector_type), (4, "dotproduct", "dense"))
    assert set(made.schema.fields) == {"_values", "_sparse_values"}
    client.indexes.delete("schema")


@case
def upserts_in_every_shape_and_fetches():
    seed("fetch")
    found = index.fetch(ids=["a", "b", "c", "gone"], namespace="fetch")
    equal((found.namespace, sorted(found.vectors)), ("fetch", ["a", "b", "c"]))
    equal(found.vectors["a"].metadata, {"genre": "action", "year": 2020, "tags": ["x", "y"]})
    equal((found.vectors["c"].values, found.vectors["c"].metadata), ([3.0, 4.0], None))
    assert found.usage.read_units > 0


@case
def keeps_short_decimals():
    index.upsert(vectors=[("short", [0.1, 0.7])], namespace="decimals")
    equal(index.fetch(ids=["short"], namespace="decimals").vectors["short"].values, [0.1, 0.7])


@case
def queries_by_vector_and_by_id():
    seed("query")
    found = index.query(vector=[1.0, 0.0], top_k=2, namespace="query")
    equal([match.id for match in found.matches], ["a", "c"])
    equal((found.namespace, found.matches[0].values, found.matches[0].metadata), ("query", [], None))
    assert abs(found.matches[1].score - 0.6) < 1e-9
    full = index.query(
        id="b", top_k=10, namespace="query", include_values=True, include_metadata=True
    )
    equal([match.id for match in full.matches], ["b", "c", "a"])
    equal((full.matches[0].values, full.matches[0].metadata["genre"]), ([0.0, 1.0], "drama"))
    equal(index.query(id="gone", top_k=1, namespace="query").matches, [])
    equal(index.query(vector=[1.0, 0.0], top_k=1, namespace="nowhere").matches, [])


@case
def filters():
    seed("filters")

    def ids(filter):
        found = index.query(vector=[1.0, 1.0], top_k=10, namespace="filters", filter=filter)
        return sorted(match.id for match in found.matches)

    equal(ids({"genre": "action"}), ["a"])
    equal(ids({"year": {"$gt": 2020}}), ["b"])
    equal(ids({"year": {"$gte": 2020, "$lt": 2021}}), ["a"])
    equal(ids({"tags": {"$in": ["y"]}}), ["a"])
    # A vector without the field is not equal to it either.
    equal(ids({"genre": {"$ne": "action"}}), ["b", "c"])
    equal(ids({"genre": {"$nin": ["drama"]}}), ["a", "c"])
    equal(ids({"genre": {"$exists": False}}), ["c"])
    equal(ids({"$or": [{"genre": "drama"}, {"year": 2020}]}), ["a", "b"])
    equal(ids({"$and": [{"genre": "drama"}, {"year": 2020}]}), [])
    equal(ids({}), ["a", "b", "c"])


@case
def queries_many_namespaces_at_once():
    seed("many-1")
    seed("many-2")
    found = index.query_namespaces(
        vector=[1.0, 0.0], metric="cosine", top_k=3, namespaces=["many-1", "many-2", "many-3"]
    )
    equal([match.id for match in found.matches[:2]], ["a", "a"])


@case
def fetches_by_metadata_in_pages():
    seed("metadata")
    filter = {"year": {"$gte": 2020}}
    first = index.fetch_by_metadata(filter=filter, limit=1, namespace="metadata")
    equal((list(first.vectors), first.namespace), (["a"], "metadata"))
    second = index.fetch_by_metadata(
        filter=filter, limit=1, namespace="metadata", pagination_token=first.pagination.next
    )
    equal((list(second.vectors), second.pagination), (["b"], None))
    nothing = index.fetch_by_metadata(filter={"genre": "horror"}, namespace="nowhere")
    equal((nothing.vectors, nothing.namespace), ({}, "nowhere"))


@case
def lists_in_pages():
    index.upsert(vectors=[(f"p{n}", [1.0, 1.0]) for n in range(5)], namespace="list")
    index.upsert(vectors=[("q", [1.0, 1.0])], namespace="list")
    pages = list(index.list(prefix="p", limit=2, namespace="list"))
    equal([[item.id for item in page.vectors] for page in pages], [["p0", "p1"], ["p2", "p3"], ["p4"]])
    last = index.list_paginated(namespace="list")
    equal((len(last.vectors), last.pagination, last.namespace), (6, None, "list"))


@case
def updates_by_id_and_by_filter():
    seed("update")
    index.update(id="a", values=[5.0, 6.0], set_metadata={"year": 1999}, namespace="update")
    told = index.fetch(ids=["a"], namespace="update").vectors["a"]
    equal((told.values, told.metadata["year"], told.metadata["genre"]), ([5.0, 6.0], 1999, "action"))
    filter = {"genre": {"$exists": True}}
    dry = index.update(filter=filter, set_metadata={"n": 1}, dry_run=True, namespace="update")
    equal(dry.matched_records, 2)
    done = index.update(filter=filter, set_metadata={"n": 1}, namespace="update")
    equal(done.matched_records, 2)
    equal(sorted(index.fetch_by_metadata(filter={"n": 1}, namespace="update").vectors), ["a", "b"])


@case
def deletes_by_ids_filter_and_all():
    def ids():
        return [item.id for page in index.list(namespace="delete") for item in page.vectors]

    seed("delete")
    assert index.delete(ids=["a", "gone"], namespace="delete") is None
    equal(ids(), ["b", "c"])
    index.delete(filter={"genre": "drama"}, namespace="delete")
    equal(ids(), ["c"])
    index.delete(delete_all=True, namespace="delete")
    equal(ids(), [])
    raises(
        errors.NotFoundError,
        "Namespace not found",
        lambda: index.delete(ids=["a"], namespace="never"),
    )


@case
def counts():
    seed("stats")
    told = index.describe_index_stats()
    equal((told.dimension, told.metric, told.vector_type), (2, "cosine", "dense"))
    equal(told.namespaces["stats"].vector_count, 3)
    assert told.total_vector_count >= 3
    raises(
        errors.ApiError, "filter", lambda: index.describe_index_stats(filter={"genre": "action"})
    )


@case
def creates_lists_describes_and_deletes_namespaces():
    made = index.create_namespace(
        name="ns-1", schema={"fields": {"genre": {"filterable": True}}}
    )
    equal((made.name, made.record_count), ("ns-1", 0))
    equal(made.schema.fields["genre"].filterable, True)
    seed("ns-2")
    pages = list(index.list_namespaces(prefix="ns-", limit=1))
    equal([[one.name for one in page.namespaces] for page in pages], [["ns-1"], ["ns-2"]])
    equal(index.describe_namespace(name="ns-2").record_count, 3)
    raises(errors.ConflictError, "exists", lambda: index.create_namespace(name="ns-1"))
    index.delete_namespace(name="ns-2")
    raises(errors.NotFoundError, "Namespace", lambda: index.describe_namespace(name="ns-2"))


@case
def tells_how_far_a_read_has_come():
    written = index.upsert(vectors=[("a", [1.0, 1.0])], namespace="lsn")
    read = index.query(vector=[1.0, 1.0], top_k=1, namespace="lsn")
    equal(written.response_info.lsn_committed, 1)
    assert read.response_info.is_reconciled(written.response_info.lsn_committed)


@case
def searches_sparse_vectors():
    client.indexes.create(name="sparse", vector_type="sparse", spec=spec)
    sparse = client.index(name="sparse")
    equal(client.indexes.describe("sparse").vector_type, "sparse")
    sparse.upsert(
        vectors=[
            Vector(id="a", sparse_values=SparseValues(indices=[1, 2], values=[0.5, 0.25])),
            {"id": "b", "sparse_values": {"indices": [2, 3], "values": [1.0, 1.0]}},
            Vector(id="c", sparse_values=SparseValues(indices=[9], values=[1.0])),
        ]
    )
    found = sparse.query(
        sparse_vector=SparseValues(indices=[1, 2], values=[1.0, 1.0]), top_k=5, include_values=True
    )
    equal([(match.id, match.score) for match in found.matches], [("b", 1.0), ("a", 0.75)])
    equal(found.matches[1].sparse_values.indices, [1, 2])
    equal(sparse.describe_index_stats().vector_type, "sparse")
    raises(
        errors.ApiError, "sparse", lambda: sparse.upsert(vectors=[("d", [1.0, 2.0])])
    )


@case
def adds_sparse_to_dense_scores():
    client.indexes.create(name="hybrid", dimension=2, metric="dotproduct", spec=spec)
    hybrid = client.index(name="hybrid")
    hybrid.upsert(
        vectors=[
            Vector(
                id="a",
                values=[1.0, 0.0],
                sparse_values=SparseValues(indices=[3], values=[2.0]),
            ),
            Vector(id="b", values=[1.0, 0.0]),
        ]
    )
    found = hybrid.query(
        vector=[1.0, 0.0], sparse_vector=SparseValues(indices=[3], values=[0.5]), top_k=2
    )
    equal([(match.id, match.score) for match in found.matches], [("a", 2.0), ("b", 1.0)])


@case
def embeds_and_searches_records():
    made = client.indexes.create_for_model(
        name="records",
        cloud="aws",
        region="us-east-1",
        embed={"model": "multilingual-e5-large", "field_map": {"text": "body"}},
    )
    equal((made.embed.model, made.embed.field_map), ("multilingual-e5-large", {"text": "body"}))
    records = client.index(name="records")
    done = records.upsert_records(
        namespace="ns",
        records=[
            {"_id": "1", "body": "apples grow on trees", "kind": "fruit"},
            {"id": "2", "body": "computers run programs", "kind": "machine"},
            {"_id": "3", "body": "programs have bugs", "kind": "machine"},
        ],
    )
    equal(done.record_count, 3)
    query = {"inputs": {"text": "computers run programs"}, "top_k": 2}
    found = records.search(namespace="ns", query=query, fields=["kind"])
    equal(found.result.hits[0].id, "2")
    equal((len(found.result.hits), found.result.hits[0].fields), (2, {"kind": "machine"}))
    assert found.usage.embed_total_tokens > 0
    only = records.search(
        namespace="ns", query={**query, "filter": {"kind": "fruit"}}
    )
    equal([(hit.id, hit.fields["body"]) for hit in only.result.hits], [("1", "apples grow on trees")])
    values = records.fetch(ids=["3"], namespace="ns").vectors["3"].values
    near = records.search(namespace="ns", query={"vector": {"values": values}, "top_k": 1})
    equal(near.result.hits[0].id, "3")
    ranked = records.search(
        namespace="ns",
        query={**query, "top_k": 3},
        rerank={"model": "bge-reranker-v2-m3", "rank_fields": ["body"], "top_n": 1},
    )
    equal([hit.id for hit in ranked.result.hits], ["2"])
    raises(
        errors.ApiError,
        "Model 'nonsense' not found",
        lambda: records.search(
            namespace="ns", query=query, rerank={"model": "nonsense", "rank_fields": ["body"]}
        ),
    )
    raises(
        errors.ApiError,
        "no integrated embedding",
        lambda: index.upsert_records(namespace="ns", records=[{"_id": "1", "body": "x"}]),
    )


@case
def refuses_models_and_fields_that_are_not_there():
    def create(embed):
        return lambda: client.indexes.create_for_model(
            name="refused", cloud="aws", region="us-east-1", embed=embed
        )

    raises(
        errors.ApiError,
        "Model invalid-model not found.",
        create({"model": "invalid-model", "field_map": {"text": "t"}}),
    )
    raises(
        errors.ApiError,
        "Missing required key 'text'",
        create({"model": "multilingual-e5-large", "field_map": {"other": "t"}}),
    )


@case
def embeds_and_reranks_texts():
    made = client.inference.embed(
        model="multilingual-e5-large",
        inputs=["hello", "world"],
        parameters={"input_type": "passage", "truncate": "END"},
    )
    equal((made.model, made.vector_type, len(made.data)), ("multilingual-e5-large", "dense", 2))
    equal(len(made.data[0].values), 1024)
    short = client.inference.embed(
        model="llama-text-embed-v2",
        inputs=["hello"],
        parameters={"input_type": "query", "dimension": 512},
    )
    equal(len(short.data[0].values), 512)
    sparse = client.inference.embed(
        model="pinecone-sparse-english-v0",
        inputs=["hello hello world"],
        parameters={"input_type": "passage"},
    )
    equal((sparse.vector_type, len(sparse.data[0].sparse_indices)), ("sparse", 2))
    ranked = client.inference.rerank(
        model="bge-reranker-v2-m3",
        query="apples",
        documents=["stones", "apples"],
        top_n=1,
    )
    equal([(one.index, one.document["text"]) for one in ranked.data], [(1, "apples")])


@case
def tells_its_models():
    told = client.inference.get_model(model="multilingual-e5-large")
    equal((told.type, told.vector_type, told.default_dimension), ("embed", "dense", 1024))
    assert "bge-reranker-v2-m3" in [one.model for one in client.inference.list_models(type="rerank")]


@case
def refuses_what_the_service_refuses():
    def upsert(vector):
        return lambda: index.upsert(vectors=[vector], namespace="refused")

    raises(errors.ApiError, "dimension 3 does not match", upsert(("a", [1.0, 2.0, 3.0])))
    # Ids that are not ASCII the client refuses itself.
    raises(errors.ApiError, "at least one non-zero value", upsert(("a", [0.0, 0.0])))
    raises(errors.ApiError, "for field 'x'", upsert(("a", [1.0, 2.0], {"x": None})))
    error = raises(
        errors.ApiError,
        "vector",
        lambda: index.query(vector=[1.0, 2.0, 3.0], top_k=1, namespace="refused"),
    )
    equal(error.status_code, 400)


@case
def says_what_it_does_not_have():
    for call in [
        lambda: index.start_import(uri="s3://bucket/folder"),
        lambda: index.list_imports_paginated(),
        lambda: client.backups.list(),
        lambda: client.collections.list(),
    ]:
        error = raises(errors.ApiError, "does not support", call)
        equal(error.status_code, 501)


@case
def takes_only_the_right_key():
    wrong = Pinecone(api_key=f"{key}-not", host=url)
    raises(errors.UnauthorizedError, "API Key", lambda: list(wrong.indexes.list()))


@case
def serves_the_asynchronous_client():
    async def run():
        async with AsyncPinecone(api_key=key, host=url) as asynchronous:
            other = await asynchronous.index(name="shared")
            async with other:
                await asyncio.gather(
                    *[
                        other.upsert(vectors=[(f"a{n}", [1.0, float(n)])], namespace="async")
                        for n in range(20)
                    ]
                )
                found = await other.query(vector=[1.0, 0.0], top_k=3, namespace="async")
                equal([match.id for match in found.matches], ["a0", "a1", "a2"])

    asyncio.run(run())


run()
