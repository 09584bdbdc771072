"""The main job in plain `gql`: independent of the project's own client, so that it can judge the server."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from gql import Client, FileVar, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

UPLOAD = """
mutation ($input: UploadPhotosInput!) {
  uploadPhotos(input: $input) { photos { id width height bytes } userErrors { code message } }
}
"""
START = """
mutation ($input: StartTrainingInput!) {
  startTraining(input: $input) { training { id status simulated model { id } } userErrors { code message } }
}
"""
PROGRESS = """
subscription ($id: ID!, $after: Int) {
  trainingProgress(trainingId: $id, afterSeq: $after) {
    seq status stage percent step totalSteps message training { id status progress }
  }
}
"""
TRAINING = """
query ($id: ID!) {
  training(id: $id) {
    status progress simulated triggerWord creditsSpent falRequestId error { code message }
    model { status modelUrl configUrl }
  }
}
"""
GENERATE = """
mutation ($input: GenerateImageInput!) {
  generateImage(input: $input) { generations { id status } userErrors { code message } }
}
"""
GENERATION_PROGRESS = """
subscription ($id: ID!) {
  generationProgress(generationId: $id, afterSeq: 0) { seq status message generation { id status imageUrl } }
}
"""
GENERATION = """
query ($id: ID!) {
  generation(id: $id) {
    status imageUrl originalFalUrl permanent finalPrompt simulated model falJobId creditsSpent error { code message }
  }
}
"""
QUOTA = "{ quota { dailyLimit dailyUsed remaining } }"


@asynccontextmanager
async def session(url: str) -> AsyncIterator[AsyncClientSession]:
    """A session over HTTP, with the header that uploads need."""
    headers = {"graphql-require-preflight": "1"}
    transport = HTTPXAsyncTransport(f"{url}/graphql", headers=headers, timeout=60, trust_env=False)
    async with Client(transport=transport, execute_timeout=None) as opened:
        yield opened


async def ask(http: AsyncClientSession, document: str, **variables: Any) -> Any:
    """The one field a document asks for."""
    data = await http.execute(GraphQLRequest(document, variable_values=variables))
    (value,) = data.values()
    return value


async def upload(http: AsyncClientSession, photos: list[Path]) -> dict[str, Any]:
    """The payload of uploadPhotos."""
    files = [FileVar(str(photo)) for photo in photos]
    request = GraphQLRequest(UPLOAD, variable_values={"input": {"photos": files}})
    payload: dict[str, Any] = (await http.execute(request, upload_files=True))["uploadPhotos"]
    return payload


async def start(http: AsyncClientSession, photos: list[Path], **options: Any) -> dict[str, Any]:
    """Upload and start; the training."""
    ids = [photo["id"] for photo in (await upload(http, photos))["photos"]]
    payload = await ask(http, START, input={"modelName": "My Portrait 2025", "photoIds": ids, **options})
    assert [] == payload["userErrors"]
    training: dict[str, Any] = payload["training"]
    return training


async def events(url: str, document: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
    """The events of a subscription, over a websocket of its own."""
    address = f"ws{url.removeprefix('http')}/graphql"
    transport = WebsocketsTransport(
        address, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL], connect_args={"proxy": None}
    )
    async with Client(transport=transport) as socket:
        request = GraphQLRequest(document, variable_values=variables)
        async with aclosing(socket.subscribe(request)) as answers:
            async for answer in answers:
                (event,) = answer.values()
                yield event
