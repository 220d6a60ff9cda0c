/** Which trace contexts are kept: valid ones of version 00. All others are as good as none. */

import { expect, test } from 'vitest'
import { readTraceparent } from '../../../apps/server/src/http/traceparent.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

test.each([`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-00`, `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-ff`])(
  '%s is kept as it is',
  (value) => {
    expect(readTraceparent(value)).toBe(value)
  },
)

test.each([
  ['another version', `01-${TRACE}-${PARENT}-01`],
  ['the version that is forbidden', `ff-${TRACE}-${PARENT}-01`],
  ['a trace ID of zeros', `00-${'0'.repeat(32)}-${PARENT}-01`],
  ['a parent ID of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['capitals', `00-${TRACE.toUpperCase()}-${PARENT}-01`],
  ['a trace ID that is too short', `00-${TRACE.slice(1)}-${PARENT}-01`],
  ['something behind it', `00-${TRACE}-${PARENT}-01-what`],
  ['a line end behind it', `00-${TRACE}-${PARENT}-01\n`],
  ['two of them', `00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`],
  ['nothing', ''],
  ['a list', [`00-${TRACE}-${PARENT}-01`]],
  ['no value', undefined],
])('%s is ignored', (_what, value) => {
  expect(readTraceparent(value)).toBeUndefined()
})
