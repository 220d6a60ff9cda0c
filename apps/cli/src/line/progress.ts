/** Shows the progress of a job on stderr: one line, drawn again and again, on a terminal; plain lines in a pipe. */
import type { Job } from '@muster/contract'
import { countsText, rolloutText } from '../render/render-job.ts'

/** Where progress is written. */
export type ProgressStream = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }

const BAR_WIDTH = 24
/** The least time between two lines in a pipe. */
const LINE_EVERY_MS = 2_000

/** Shows a job whenever it has changed; `end` wipes the line on a terminal. */
export type Progress = { show(job: Job): void; end(): void }

/** Makes a progress display for this stream. */
export function createProgress(stream: ProgressStream): Progress {
  return stream.isTTY === true ? barProgress(stream) : lineProgress(stream)
}

function barProgress(stream: ProgressStream): Progress {
  let isDrawn = false
  return {
    show: (job) => {
      const full = Math.round((endedOf(job) / job.total) * BAR_WIDTH)
      const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`
      const text = `${bar} ${endedOf(job)}/${job.total}  ${standingText(job)}`
      stream.write(`\r\x1b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`)
      isDrawn = true
    },
    end: () => {
      if (isDrawn) stream.write('\r\x1b[2K')
      isDrawn = false
    },
  }
}

function lineProgress(stream: ProgressStream): Progress {
  let last = ''
  let lastMs = Number.NEGATIVE_INFINITY
  return {
    show: (job) => {
      const text = `${endedOf(job)}/${job.total} ended: ${standingText(job)}\n`
      const isDue = job.ended_at !== null || performance.now() - lastMs >= LINE_EVERY_MS
      if (text === last || !isDue) return
      stream.write(text)
      last = text
      lastMs = performance.now()
    },
    end: () => {},
  }
}

function standingText(job: Job): string {
  const rollout = rolloutText(job)
  return `${countsText(job)}${pauseText(job)}${rollout === null ? '' : ` · ${rollout}`}`
}

function pauseText({ state, batch }: Job): string {
  if (state !== 'paused') return ''
  const why = batch?.paused_because === 'nothing_ran' ? ', as no host was tried,' : ''
  return ` · paused${why}${batch?.paused_until ? ` until ${batch.paused_until}` : ''}`
}

function endedOf({ counts, total }: Job): number {
  return total - counts.pending - counts.queued - counts.connecting - counts.running - counts.retry_wait
}
