# The contract tests of the store, for the task that `python -m infra rehearse` starts in the stage's network.
#
# Not for production: it has the development dependencies, and nothing that compiles.
FROM python:3.13-slim
WORKDIR /tests
COPY requirements-dev.txt .
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements-dev.txt
COPY . .
ENV PYTHONDONTWRITEBYTECODE=1 CONTRACT_STORE=deployed TIER=all
CMD ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "store-deployed"]
