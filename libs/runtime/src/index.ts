export {
  describeExit,
  type Exit,
  type ProcessOptions,
  type RunningProcess,
  startProcess,
} from './child-process.ts'
export { Closers } from './closers.ts'
export { type Environment, loadDotEnv, parseConfig, parseConfigOrExit, secretsOf } from './config.ts'
export { DataDirInUse } from './embedded-redis.ts'
export { freePort } from './free-port.ts'
export { type KeepRunningOptions, type KeptProcesses, keepRunning } from './keep-running.ts'
export { createLogger, type Logger, type LoggerOptions, LogLevel } from './logger.ts'
export { type PingAnswer, pingRedis, redisAddress } from './redis-ping.ts'
export { type RedisServer, type StartRedisOptions, startRedis } from './redis-server.ts'
export { type Life, type RunProcessOptions, runProcess } from './run-process.ts'
export { SecretScrubber } from './secret-scrubber.ts'
export { findProgram, installSystemPackage, type SystemPackageOptions } from './system-package.ts'
export { type EndSignal, type UntilSignalOptions, untilSignal } from './until-signal.ts'
