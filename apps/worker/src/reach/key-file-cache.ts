/** Key files of this worker's, read again only when they have changed: a thousand runs read the same key once. */
import { filesOfKey, type KeyContent, type KeyRef, readKey, type SecretDirectories } from '@muster/inventory'
import { keepFiles } from '@muster/ssh'

/** More keys than most inventories name; of more, those are kept that were used last. */
const KEPT_LIMIT = 1_000

/** Keys by what the inventory, or a request, says of them. */
export class KeyFileCache {
  readonly #directories: SecretDirectories
  readonly #kept = new Map<string, () => Promise<KeyContent>>()

  constructor(directories: SecretDirectories) {
    this.#directories = directories
  }

  /**
   * The key, as its files are now.
   * @throws {MusterError} as `readKey` does
   */
  async read(ref: KeyRef): Promise<KeyContent> {
    const { identityFile: file, isOfOpenSsh = false, isOfRequest = false, certificateFile = '' } = ref
    // What one may read, the other may not.
    const name = JSON.stringify([isOfOpenSsh, isOfRequest, file, certificateFile])
    const read = () => readKey(ref, this.#directories)
    const kept = this.#kept.get(name) ?? keepFiles(filesOfKey(ref, this.#directories), read)
    this.#kept.delete(name)
    this.#kept.set(name, kept)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > KEPT_LIMIT && oldest !== undefined) this.#kept.delete(oldest)
    return await kept()
  }
}
