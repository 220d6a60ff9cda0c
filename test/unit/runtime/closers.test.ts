import { Closers } from '@muster/runtime'
import { describe, expect, it } from 'vitest'

function make() {
  const log: string[] = []
  const order: string[] = []
  return { log, closers: new Closers((line) => log.push(line)), order }
}

describe('Closers', () => {
  it('closes last in, first out, each after the other has finished', async () => {
    const { closers, order } = make()
    closers.add('first', () => {
      order.push('first')
    })
    closers.add('second', async () => {
      await Promise.resolve()
      order.push('second')
    })
    await closers.close()
    expect(order).toEqual(['second', 'first'])
  })

  it('closes once, however often it is asked', async () => {
    const { closers, order } = make()
    closers.add('only', () => {
      order.push('only')
    })
    await Promise.all([closers.close(), closers.close()])
    await closers.close()
    expect(order).toEqual(['only'])
  })

  it('goes on after a failure and rejects with the first one', async () => {
    const { closers, log, order } = make()
    closers.add('last', () => {
      order.push('last')
    })
    closers.add('rejecting', async () => {
      throw new Error('second failure')
    })
    closers.add('throwing', () => {
      throw new Error('first failure')
    })
    await expect(closers.close()).rejects.toThrow('throwing could not be closed: first failure')
    expect(order).toEqual(['last'])
    expect(log).toEqual([
      'throwing could not be closed: first failure',
      'rejecting could not be closed: second failure',
    ])
  })

  it('gives up a close that takes too long, names it, and closes the rest', async () => {
    const { closers, log, order } = make()
    closers.add('rest', () => {
      order.push('rest')
    })
    closers.add('stuck', () => new Promise(() => undefined), 20)
    await expect(closers.close()).rejects.toThrow('stuck did not close within 20 ms')
    expect(order).toEqual(['rest'])
    expect(log).toHaveLength(1)
  })

  it('closes what is opened while closing', async () => {
    const { closers, order } = make()
    closers.add('early', () => {
      closers.add('late', () => {
        order.push('late')
      })
    })
    await closers.close()
    expect(order).toEqual(['late'])
  })

  it('refuses what is opened after closing, and closes it at once', async () => {
    const { closers, order } = make()
    await closers.close()
    const add = () =>
      closers.add('late', () => {
        order.push('late')
      })
    expect(add).toThrow('late was opened after everything had been closed')
    expect(order).toEqual(['late'])
  })
})
