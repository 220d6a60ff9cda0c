/** What /etc/passwd and /etc/group say about a group. Reads no file itself. */

/** Both files, as text. */
export type AccountTables = { readonly passwd: string; readonly group: string }

/**
 * Whether the group has no member but this user: many systems give each user such a group, and make what that user
 * makes writable by it. Accounts that are in neither file are not known.
 */
export function isGroupOfOneUser({ uid, gid }: { readonly uid: number; readonly gid: number }, tables: AccountTables) {
  const [users, groups] = [rowsOf(tables.passwd), rowsOf(tables.group)]
  const [only, ...others] = users.filter(([, , , group]) => group === String(gid))
  const group = groups.find(([, , id]) => id === String(gid))
  if (only === undefined || group === undefined || others.length > 0 || only[2] !== String(uid)) return false
  return (group[3] ?? '').split(',').every((member) => member === '' || member === only[0])
}

function rowsOf(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'))
}
