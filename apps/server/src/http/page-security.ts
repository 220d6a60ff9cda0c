/**
 * The headers of the pages for people, `/docs` and `/board`: whatever a page holds, the browser runs and loads only
 * what this server sends as a file.
 *
 * `Strict-Transport-Security` is not sent: it would hold for every port of the name, which may be shared.
 */
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

/** The one style that Swagger UI writes into its page. Another version may have another: then a test of /docs fails. */
const STYLE_OF_SWAGGER = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"

/** Images may also be written into a style sheet. Scripts may set styles, but no page brings them as text. */
const POLICY = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'", STYLE_OF_SWAGGER],
  imgSrc: ["'self'", 'data:'],
  fontSrc: ["'self'"],
  connectSrc: ["'self'"],
  baseUri: ["'self'"],
  formAction: ["'self'"],
  frameAncestors: ["'none'"],
}

/** Adds the headers to the routes of this scope. */
export async function addPageSecurity(scope: FastifyInstance): Promise<void> {
  await scope.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: POLICY },
    frameguard: { action: 'deny' },
    strictTransportSecurity: false,
  })
}
