/** The setting that says where Redis is. */
import { z } from 'zod'

const FORM = 'a redis:// or rediss:// address'

/** Secret, because it may hold a password. */
export const RedisUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^rediss?:\/\/[^/]/.test(text), FORM)
  .meta({ secret: true, description: FORM })
