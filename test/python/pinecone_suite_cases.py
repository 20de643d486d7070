"""The calls and assertions of the integration suites of Pinecone's Python client 10, which no package carries.

Each group is named by the file of theirs that it covers; docs/pinecone-compatibility.md lists what is left out.
"""

import asyncio
import os
from uuid import uuid4

import httpx
from cases import case, equal, raises, run
from pinecone import AsyncPinecone, Pinecone, SchemaBuilder, ServerlessSpec
from pinecone.errors import exceptions as errors
from pinecone.models.indexes.index import IndexModel
from pinecone.models.indexes.schema import DenseVectorField, SemanticTextField, SparseVectorField

url = os.environ["PINECONE_URL"]
key = os.environ["PINECONE_KEY"]
client = Pinecone(api_key=key, host=url)
managed = {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"}
spec = ServerlessSpec(cloud="aws", region="us-east-1")


def fresh(prefix):
    return f"{prefix}-{uuid4().hex[:8]}"


def dense(dimension, metric="cosine"):
    field = {"type": "dense_vector", "dimension": dimension, "metric": metric}
    return {"fields": {"embedding": field}}


def legacy(**shape):
    """An index as earlier API versions make it, which the vectors API serves."""
    name = fresh("legacy")
    body = {"name": name, "metric": "cosine", "vector_type": "dense", **shape}
    body["spec"] = {"serverless": {"cloud": "aws", "region": "us-east-1"}}
    headers = {"Api-Key": key, "X-Pinecone-Api-Version": "2026-04"}
    made = httpx.post(f"{url}/indexes", headers=headers, json=body).raise_for_status().json()
    fields = set(client.indexes.describe(name).schema.fields)
    assert fields and fields <= {"_values", "_sparse_values"}, fields
    return client.index(host=made["host"])


# test_indexes_2026_07.py, test_async_indexes_2026_07.py


@case
def indexes_2026_07_lives_from_create_to_delete():
    name = fresh("life")
    made = client.indexes.create(
        name=name, schema=dense(4), deployment=managed, tags={"suite": "x"}, timeout=60
    )
    assert isinstance(made, IndexModel) and made.status.ready is True
    equal((made.name, list(made.schema.fields)), (name, ["embedding"]))
    assert client.indexes.describe(name).host and client.indexes.exists(name) is True
    assert name in [one.name for one in client.indexes.list()]
    assert isinstance(client.indexes.configure(name, tags={"phase": "two"}), IndexModel)
    for state in ["enabled", "disabled"]:
        equal(client.indexes.configure(name, deletion_protection=state).deletion_protection, state)
    client.indexes.delete(name, timeout=60)
    assert client.indexes.exists(name) is False


@case
def indexes_2026_07_takes_texts_that_are_searched():
    built = SchemaBuilder().add_string_field("body", language="en").build()
    by_hand = {"fields": {"body": {"type": "string", "full_text_search": {"language": "en"}}}}
    for schema in [built, by_hand]:
        made = client.indexes.create(name=fresh("fts"), schema=schema, timeout=60)
        assert made.status.ready is True and "body" in made.schema.fields


@case
def indexes_2026_07_assigns_a_name():
    made = client.indexes.create(schema=dense(4), timeout=60)
    assert made.name and client.indexes.exists(made.name) is True


@case
def indexes_2026_07_refuses_texts_that_are_not_searched():
    def create(fields):
        return lambda: client.indexes.create(
            name=fresh("string"), schema={"fields": fields}, timeout=-1
        )

    equal(raises(errors.ApiError, "", create({"title": {"type": "string"}})).status_code, 422)
    filtered = {**dense(4)["fields"], "title": {"type": "string", "filterable": True}}
    error = raises(errors.ApiError, "only accepts fields used for search", create(filtered))
    equal(error.status_code, 400)


@case
def indexes_2026_07_serves_the_asynchronous_client():
    async def run():
        async with AsyncPinecone(api_key=key, host=url) as asynchronous:
            made = await asynchronous.indexes.create(schema=dense(4), timeout=60)
            assert await asynchronous.indexes.exists(made.name) is True
            await asynchronous.indexes.delete(made.name, timeout=60)
            assert await asynchronous.indexes.exists(made.name) is False

    asyncio.run(run())


# test_indexes.py, test_indexes_async.py


@case
def indexes_tells_a_dense_field():
    name = fresh("dense")
    for told in [
        client.indexes.create(name=name, schema=dense(4, "dotproduct"), deployment=managed),
        client.indexes.describe(name),
    ]:
        field = told.schema.fields["embedding"]
        assert isinstance(field, DenseVectorField)
        equal((field.dimension, field.metric), (4, "dotproduct"))
        equal((told.dimension, told.metric, told.vector_type), (4, "dotproduct", "dense"))
        equal((told.deployment.cloud, told.deployment.region), ("aws", "us-east-1"))
        equal((told.status.state, told.deletion_protection), ("Ready", "disabled"))
    for field in ["name", "host", "deletion_protection", "schema", "deployment", "status"]:
        equal(told[field], getattr(told, field))
    assert told.host in client.index(name=name).host
    names = [one.name for one in client.indexes.list()]
    equal(len(set(names)), len(names))


@case
def indexes_tells_a_sparse_field():
    schema = {"fields": {"sparse_embedding": {"type": "sparse_vector"}}}
    made = client.indexes.create(name=fresh("sparse"), schema=schema, deployment=managed)
    assert isinstance(made.schema.fields["sparse_embedding"], SparseVectorField)
    equal(list(made.schema.fields), ["sparse_embedding"])


@case
def indexes_tells_a_text_field_of_a_model():
    embed = {"model": "llama-text-embed-v2", "field_map": {"text": "body"}, "metric": "cosine"}
    for create in [client.indexes.create_for_model, client.create_index_for_model]:
        made = create(name=fresh("model"), cloud="aws", region="us-east-1", embed=embed)
        field = made.schema.fields["body"]
        assert isinstance(field, SemanticTextField)
        equal((field.model, field.metric), ("llama-text-embed-v2", "cosine"))


@case
def indexes_merges_tags_and_keeps_what_is_not_named():
    name = fresh("tags")
    made = client.indexes.create(name=name, schema=dense(2), tags={"env": "x", "gone": "y"})
    equal(made.tags, {"env": "x", "gone": "y"})
    client.indexes.configure(name, deletion_protection="enabled")
    changed = client.indexes.configure(name, tags={"gone": "", "new": "z"})
    equal((changed.tags, changed.deletion_protection), ({"env": "x", "new": "z"}, "enabled"))
    error = raises(errors.ForbiddenError, "", lambda: client.indexes.delete(name))
    equal(error.status_code, 403)
    client.indexes.configure(name, deletion_protection="disabled")
    client.index(name=name)
    assert name in client._host_cache
    assert client.indexes.delete(name, timeout=-1) is None
    assert name not in client._host_cache
    raises(errors.NotFoundError, "", lambda: client.index(name=name))


# test_control_plane_gaps.py


@case
def control_plane_gaps_configures_read_capacity():
    name = fresh("capacity")
    client.indexes.create(name=name, dimension=2, metric="cosine", spec=spec)
    told = client.indexes.configure(name, serverless_read_capacity={"mode": "OnDemand"})
    equal((told.name, client.indexes.describe(name).status.ready), (name, True))


# test_errors.py, test_errors_async.py


@case
def errors_tells_status_reason_headers_and_body():
    wrong = Pinecone(api_key="another", host=url)
    unauthorized = raises(errors.UnauthorizedError, "", lambda: wrong.indexes.list().to_list())
    missing = raises(errors.NotFoundError, "", lambda: client.indexes.describe("not-there"))
    gone = raises(errors.NotFoundError, "", lambda: client.indexes.delete("not-there"))
    equal([one.status_code for one in [unauthorized, missing, gone]], [401, 404, 404])
    for error in [unauthorized, missing]:
        assert error.reason and error.headers and isinstance(error.body, dict)
        assert not str(error).strip().isdigit()


@case
def errors_refuses_vectors_on_an_index_of_documents():
    name = fresh("documents")
    client.indexes.create(name=name, schema=dense(2), deployment=managed)
    index = client.index(name=name)
    upsert = lambda: index.upsert(vectors=[{"id": "a", "values": [0.1, 0.2]}])
    equal(raises(errors.ApiError, "documents", upsert).status_code, 400)
    equal(index.query(vector=[0.1, 0.2], top_k=1).matches, [])
    equal(index.fetch(ids=["a"]).vectors, {})
    again = lambda: client.indexes.create(name=name, schema=dense(2), timeout=-1)
    equal(raises(errors.ConflictError, "", again).status_code, 409)


@case
def errors_refuses_deployments_of_no_type():
    for deployment in [{"invalid": {"cloud": "aws"}}, {"SERVERLESS": {"cloud": "aws"}}]:
        create = lambda: client.indexes.create(
            name="never", schema=dense(2), deployment=deployment, timeout=-1
        )
        equal(raises(errors.ApiError, "", create).status_code, 422)


# test_legacy_vector_index.py, test_legacy_vector_index_async.py


@case
def legacy_vector_index_reads_what_was_written():
    index = legacy(dimension=3)
    vectors = [
        {"id": "a", "values": [0.1, 0.2, 0.3], "metadata": {"genre": "drama", "year": 1994}},
        {"id": "b", "values": [0.4, 0.5, 0.6]},
        {"id": "c", "values": [0.7, 0.8, 0.9]},
    ]
    equal(index.upsert(vectors=vectors, namespace="ns").upserted_count, 3)
    found = index.fetch(ids=["a", "b"], namespace="ns").vectors
    equal(found["a"].values, [0.1, 0.2, 0.3])
    equal((found["a"].metadata, found["b"].metadata), ({"genre": "drama", "year": 1994}, None))
    matches = index.query(vector=[0.1, 0.2, 0.3], top_k=3, namespace="ns", include_values=True).matches
    equal((matches[0].id, len(matches)), ("a", 3))
    assert abs(matches[0].score - 1) < 1e-4
    equal(index.query(id="c", top_k=1, namespace="ns").matches[0].id, "c")
    index.update(id="a", values=[0.01, 0.02, 0.03], namespace="ns")
    equal(index.fetch(ids=["a"], namespace="ns").vectors["a"].values, [0.01, 0.02, 0.03])
    equal([one.id for one in index.list_paginated(namespace="ns").vectors], ["a", "b", "c"])
    stats = index.describe_index_stats()
    equal((stats.dimension, stats.metric, stats.namespaces["ns"].vector_count), (3, "cosine", 3))
    index.delete(ids=["b"], namespace="ns")
    equal(sorted(index.fetch(ids=["a", "b", "c"], namespace="ns").vectors), ["a", "c"])
    wrong = lambda: index.upsert(vectors=[{"id": "bad", "values": [0.1, 0.2]}], namespace="ns")
    raises(errors.ApiError, "dimension", wrong)


# test_legacy_sugar_index.py, test_legacy_sugar_index_async.py


@case
def legacy_sugar_index_serves_dense_sparse_and_both():
    sparse = {"indices": [0, 5], "values": [0.5, 0.8]}
    other = {"indices": [5, 7], "values": [0.3, 0.9]}
    for shape, fields, parts in [
        ({"dimension": 2, "metric": "cosine"}, {"_values"}, {"values": [0.1, 0.2]}),
        ({"vector_type": "sparse"}, {"_sparse_values"}, {"sparse_values": sparse}),
        (
            {"dimension": 2, "metric": "dotproduct"},
            {"_values"},
            {"values": [0.1, 0.2], "sparse_values": sparse},
        ),
    ]:
        made = client.indexes.create(name=fresh("sugar"), spec=spec, **shape)
        equal(set(client.indexes.describe(made.name).schema.fields), fields)
        index = client.index(host=made.host)
        second = {**parts, **({"sparse_values": other} if "sparse_values" in parts else {})}
        vectors = [{"id": "a", **parts}, {"id": "b", **second}]
        equal(index.upsert(vectors=vectors, namespace="ns").upserted_count, 2)
        found = index.fetch(ids=["a"], namespace="ns").vectors["a"]
        equal(found.values, parts.get("values", []))
        if "sparse_values" in parts:
            equal((found.sparse_values.indices, found.sparse_values.values), ([0, 5], [0.5, 0.8]))
        question = {
            **({"vector": parts["values"]} if "values" in parts else {}),
            **({"sparse_vector": sparse} if "sparse_values" in parts else {}),
        }
        equal(len(index.query(top_k=2, namespace="ns", **question).matches), 2)
        index.delete(ids=["b"], namespace="ns")
        equal(list(index.fetch(ids=["a", "b"], namespace="ns").vectors), ["a"])


# test_data_plane.py, test_data_plane_gaps.py, test_batch_upserts_gaps.py, test_query_namespaces_search_gaps.py


@case
def data_plane_creates_and_counts_namespaces():
    index = legacy(dimension=2)
    equal(index.list_namespaces_paginated().total_count, 0)
    made = index.create_namespace(name="ns-a")
    equal((made.name, made.record_count, made.size_bytes), ("ns-a", 0, 0))
    conflict = raises(errors.ConflictError, "", lambda: index.create_namespace(name="ns-a"))
    equal(conflict.status_code, 409)
    raises(errors.NotFoundError, "", lambda: index.describe_namespace(name="ns-absent"))
    index.upsert(vectors=[("a", [0.1, 0.2]), ("b", [0.3, 0.4])], namespace="ns-a")
    told = index.describe_namespace(name="ns-a")
    equal(told.record_count, 2)
    assert isinstance(told.size_bytes, int) and told.size_bytes > 0
    index.upsert(vectors=[("a", [0.1, 0.2])], namespace="ns-b")
    names, token = [], None
    while True:
        page = index.list_namespaces_paginated(prefix="ns-", limit=1, pagination_token=token)
        names += [one.name for one in page.namespaces]
        token = page.pagination.next if page.pagination else None
        if token is None:
            break
    equal(names, ["ns-a", "ns-b"])
    assert index.delete_namespace(name="ns-a") is None
    equal([one.name for one in index.list_namespaces_paginated().namespaces], ["ns-b"])
    stats = index.describe_index_stats()
    equal({name: one.vector_count for name, one in stats.namespaces.items()}, {"ns-b": 1})
    equal((stats.total_vector_count, stats.index_fullness), (1, 0))


@case
def data_plane_upserts_in_batches():
    index = legacy(dimension=2)
    vectors = [
        {"id": f"v{n}", "values": [0.5 + n / 100, 0.7], "metadata": {"n": n}} for n in range(23)
    ]
    done = index.upsert(
        vectors=vectors, namespace="ns", batch_size=10, max_concurrency=3, show_progress=False
    )
    equal((done.upserted_count, done.total_batch_count, done.failed_batch_count), (23, 3, 0))
    equal((done.failed_item_count, done.errors, done.has_errors), (0, [], False))
    equal(len(index.fetch(ids=[one["id"] for one in vectors], namespace="ns").vectors), 23)


@case
def data_plane_answers_calls_in_threads():
    pool = Pinecone(api_key=key, host=url, pool_threads=4)
    index = pool.index(host=legacy(dimension=2).host)
    with index:
        vectors = [(f"v{n}", [n / 10, n / 5]) for n in range(1, 9)]
        equal(index.upsert(vectors=vectors, async_req=True).get(timeout=60).upserted_count, 8)
        asked = [index.query(top_k=2, vector=[n, 1.0], async_req=True) for n in range(4)]
        equal([len(one.get(timeout=60).matches) for one in asked], [2, 2, 2, 2])
        equal(index.describe_index_stats(async_req=True).get(timeout=60).total_vector_count, 8)
        equal(len(index.list_paginated(async_req=True).get(timeout=60).vectors), 8)
        assert index.delete(ids=["never", "v1"]) is None and index.delete(ids=["v1"]) is None


run()
