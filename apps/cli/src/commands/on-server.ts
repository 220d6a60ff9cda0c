/** Gives a command the server that it talks to. */
import { createClient } from '../client/client.ts'
import { findServer } from '../client/find-server.ts'
import { type Command, ENV_FILE_SWITCH, SERVER_SWITCH, type ServerCommand } from '../line/command.ts'
import { EXIT } from '../line/exit-status.ts'
import { textOf } from '../line/flags.ts'
import { listenForInterrupts } from '../line/interrupts.ts'
import { settingsOf } from '../line/line-settings.ts'

/** The command with a server and a count of Ctrl-C. What fails after a Ctrl-C was interrupted, whatever the fault. */
export function onServer({ act, ...command }: ServerCommand): Command {
  return {
    ...command,
    unlisted: [SERVER_SWITCH, ENV_FILE_SWITCH],
    run: async (program, line) => {
      const interrupts = listenForInterrupts()
      try {
        const server = await findServer(await settingsOf(program, line), textOf(line, 'server'))
        return await act({ ...program, client: createClient(server), interrupts }, line)
      } catch (error) {
        if (interrupts.count() > 0) return EXIT.interrupted
        throw error
      } finally {
        interrupts.stop()
      }
    },
  }
}
