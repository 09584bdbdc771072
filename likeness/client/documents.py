"""The GraphQL documents this client sends."""

from typing import Final

_ERRORS: Final = """
fragment Errors on UserError {
  __typename
  code
  message
  path
  ... on PhotoRejectedError { index filename }
}
"""

_TRAINING: Final = """
fragment TrainingFields on Training {
  id
  status
  stage
  progress
  steps
  triggerWord
  simulated
  creditsSpent
  error { code message retryable }
  model { id name status triggerWord }
}
"""

_GENERATION: Final = """
fragment GenerationFields on Generation {
  id
  status
  prompt
  finalPrompt
  imageUrl
  permanent
  model
  seed
  width
  height
  simulated
  error { code message retryable }
}
"""

HEALTH: Final = "query Health { health { ok simulated version } }"

BASE_MODELS: Final = "query BaseModels { baseModels { id name trainer } }"

UPLOAD_PHOTOS: Final = (
    """
mutation UploadPhotos($input: UploadPhotosInput!) {
  uploadPhotos(input: $input) {
    photos { id url filename contentType bytes width height sha256 }
    userErrors { ...Errors }
  }
}
"""
    + _ERRORS
)

START_TRAINING: Final = (
    """
mutation StartTraining($input: StartTrainingInput!) {
  startTraining(input: $input) {
    training { ...TrainingFields }
    userErrors { ...Errors }
  }
}
"""
    + _TRAINING
    + _ERRORS
)

TRAINING: Final = "query Training($id: ID!) { training(id: $id) { ...TrainingFields } }" + _TRAINING

TRAINING_PROGRESS: Final = """
subscription TrainingProgress($id: ID!, $afterSeq: Int) {
  progress: trainingProgress(trainingId: $id, afterSeq: $afterSeq) {
    seq
    status
    stage
    percent
    stagePercent
    step
    totalSteps
    queuePosition
    etaSeconds
    message
    at
  }
}
"""

MODELS: Final = """
query Models($first: Int, $after: String) {
  models(first: $first, after: $after) {
    nodes { id name status triggerWord createdAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""

GENERATE_IMAGE: Final = (
    """
mutation GenerateImage($input: GenerateImageInput!) {
  generateImage(input: $input) {
    generations { ...GenerationFields }
    userErrors { ...Errors }
  }
}
"""
    + _GENERATION
    + _ERRORS
)

GENERATION: Final = "query Generation($id: ID!) { generation(id: $id) { ...GenerationFields } }" + _GENERATION

GENERATION_PROGRESS: Final = """
subscription GenerationProgress($id: ID!, $afterSeq: Int) {
  progress: generationProgress(generationId: $id, afterSeq: $afterSeq) {
    seq
    status
    queuePosition
    message
    at
  }
}
"""
