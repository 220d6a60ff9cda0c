/** `/openapi.json`, and a page at `/docs` where people can read it and try it out. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { addPageSecurity } from '../http/page-security.ts'
import { createOpenApi } from './openapi.ts'

/** Adds the document and its page. The page loads nothing from other sites. */
export async function addDocumentation(app: FastifyInstance): Promise<void> {
  const document = createOpenApi()
  app.get('/openapi.json', async () => document)
  await app.register(swagger, { mode: 'static', specification: { document: JSON.parse(JSON.stringify(document)) } })
  await app.register(async (scope) => {
    await addPageSecurity(scope)
    const uiConfig = { validatorUrl: null, persistAuthorization: false }
    await scope.register(swaggerUi, { routePrefix: '/docs', uiConfig })
  })
}
