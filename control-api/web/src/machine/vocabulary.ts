// The words in which the service tells a call: printed from the package `call-words`, whose test
// compares them and, with `WRITE=1`, writes them anew. Pure.

export const CALL_PHASES = [
  'starting',
  'agent',
  'ringing',
  'bridged',
  'held',
  'ended',
] as const;
export type CallPhase = (typeof CALL_PHASES)[number];

export const CALL_STATUSES = [
  'ANSWER',
  'NO_ANSWER',
  'BUSY',
  'FAILED',
  'CANCELED',
] as const;
export type CallStatus = (typeof CALL_STATUSES)[number];

export const HANGUP_BYS = [
  'agent',
  'customer',
  'participant',
  'api',
  'system',
  'network',
] as const;
export type HangupBy = (typeof HANGUP_BYS)[number];

export const REASONS = [
  'busy',
  'declined',
  'no_answer',
  'unreachable',
  'invalid_number',
  'agent_busy',
  'agent_declined',
  'agent_no_answer',
  'agent_unreachable',
  'agent_number_invalid',
  'agent_media',
  'agent_lost',
  'agent_not_confirmed',
  'trunk_timeout',
  'trunk_rejected',
  'trunk_failed',
  'trunk_unregistered',
  'trunk_unreachable',
  'trunk_unresolved',
  'trunk_tls',
  'trunk_interface',
  'media',
  'canceled',
  'no_media',
  'max_duration',
  'dialog_lost',
  'system',
  'edge_restarted',
  'callback_test',
  'hung_up',
  'removed',
  'completed',
  'ended',
] as const;
export type Reason = (typeof REASONS)[number];

export const MEDIA_FAULTS = [
  'microphone_denied',
  'microphone_missing',
  'microphone_in_use',
  'no_candidates',
  'no_path',
  'no_dtls',
  'no_audio',
] as const;
export type MediaFault = (typeof MEDIA_FAULTS)[number];

export const PARTY_ROLES = [
  'agent',
  'customer',
  'participant',
  'supervisor',
] as const;
export type PartyRole = (typeof PARTY_ROLES)[number];

export const PARTY_STATES = [
  'dialing',
  'ringing',
  'talking',
  'consulting',
  'on_hold',
  'away',
  'left',
] as const;
export type PartyState = (typeof PARTY_STATES)[number];

export const JOININGS = [
  'consult',
  'join',
  'transfer',
] as const;
export type Joining = (typeof JOININGS)[number];

export const SUPERVISOR_ROLES = [
  'listen',
  'whisper',
  'barge',
] as const;
export type SupervisorRole = (typeof SUPERVISOR_ROLES)[number];

export const RECORDING_STATES = [
  'off',
  'running',
  'paused',
] as const;
export type RecordingState = (typeof RECORDING_STATES)[number];
