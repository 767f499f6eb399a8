# The image of the service. docs/containers.md says how to build and run it, and what is in it.
#
# Node comes from its official image, which also has npm, yarn and headers; what runs is Debian with nothing but the
# program itself on top, so that there is less to carry and to patch (docs/adr/0024-one-program-on-debian.md).
ARG NODE_IMAGE=node:24.19.0-trixie-slim
ARG BASE_IMAGE=debian:13.6-slim

FROM ${NODE_IMAGE} AS node
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

# What is needed to run. --omit=optional leaves out the embedded PostgreSQL: the prod profile never starts it. Nothing
# here needs an install script, and nobody reads source maps and type declarations of dependencies in production.
FROM node AS dependencies
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --ignore-scripts \
  && find node_modules -type f -regex '.*\(\.map\|\.d\.[cm]?ts\|\.md\)' -delete

FROM node AS build
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && rm dist/.tsbuildinfo

FROM ${BASE_IMAGE}
RUN groupadd --gid 1000 tidemark \
  && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tidemark
COPY --from=node /usr/local/bin/node /usr/local/bin/node
RUN node --version
WORKDIR /app
# From what changes least to what changes with every commit. All of it belongs to root, and is not written to.
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY seeds seeds
COPY --from=build /app/dist dist

ENV NODE_ENV=production TIDEMARK_PROFILE=prod HOST=0.0.0.0 PORT=8080
USER 1000:1000
EXPOSE 8080
# Alive, not ready: a restart does not bring a database back. There is no curl here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Without npm or a shell in between, so that SIGTERM reaches the service.
ENTRYPOINT ["node", "--enable-source-maps", "dist/faces/cli/tidemark.js"]
CMD ["serve"]

# Last, since they change with every build.
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Tidemark" \
  org.opencontainers.image.description="Self-hosted usage metering and event analytics: exact, durable, fast." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
