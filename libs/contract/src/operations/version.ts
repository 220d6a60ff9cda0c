/** The version of Muster, as callers are told. */
export const VERSION = '0.2.0'
