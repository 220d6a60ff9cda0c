# One image for server, worker and cli; the demo fleet is a target of its own.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build \
 && npm prune --omit=dev

FROM node:24-bookworm-slim AS muster
ENV NODE_ENV=production MUSTER_CONFIG_DIR=/config MUSTER_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/libs ./libs
COPY --from=build /app/apps ./apps
RUN mkdir -p /data /config /logs /worker-keys /server-keys /public-keys \
 && chown node:node /data /config /logs /worker-keys /server-keys /public-keys \
 && ln -s /app/apps/cli/bin/muster.js /usr/local/bin/muster
USER node
# Listens on loopback unless MUSTER_HOST says otherwise, which needs MUSTER_TLS_CERT_FILE and MUSTER_TLS_KEY_FILE, or
# MUSTER_BEHIND_PROXY=1 as in docker-compose.yml.
EXPOSE 7420
CMD ["node", "apps/server/dist/main.js"]

# A host to try things on: sshd as an ordinary user, on port 2222.
FROM debian:bookworm-slim AS fleet
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server openssh-client \
 && rm -rf /var/lib/apt/lists/* && useradd --create-home --uid 1000 demo
USER demo
EXPOSE 2222
CMD ["/usr/sbin/sshd", "-D", "-e", "-p", "2222", "-f", "/dev/null", \
     "-o", "HostKey=/demo-keys/host_key", "-o", "AuthorizedKeysFile=/demo-keys/id_ed25519.pub", \
     "-o", "PidFile=none", "-o", "StrictModes=no", "-o", "PasswordAuthentication=no"]
