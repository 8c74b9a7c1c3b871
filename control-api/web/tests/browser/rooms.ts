// The rooms of a call as the stand-in service plays them: each verb of the page changes who is with whom, or is refused by its stable word.

export interface Member {
  party: string;
  role: 'agent' | 'customer' | 'participant' | 'supervisor';
  state: string;
  muted: boolean;
  number: string | null;
  crm_username: string | null;
  joining: string | null;
  supervisor_role: string | null;
  reason: string | null;
}

export class Rooms {
  parties: Member[];
  recording: 'off' | 'running' | 'paused' = 'running';
  #thirds = 0;

  constructor(number: string) {
    this.parties = [member('agent', 'agent', null), member('customer', 'customer', number)];
    this.get('agent').crm_username = 'agent.017';
  }

  get(party: string): Member {
    const found = this.parties.find(other => other.party === party);
    if (!found) throw new Error(`no party ${party}`);
    return found;
  }

  /** The code of the refusal, or `null` when it was done. */
  take(body: Record<string, string>): string | null {
    const third = this.#newcomer();
    const party = body['party'];
    switch (body['verb']) {
      case 'hold':
        this.get('customer').state = 'on_hold';
        return null;
      case 'resume':
        this.get('customer').state = 'talking';
        return null;
      case 'mute':
      case 'unmute':
        this.get(party ?? 'agent').muted = body['verb'] === 'mute';
        return null;
      case 'dtmf':
        return null;
      case 'add':
      case 'transfer':
        return third ? 'transfer_running' : this.#dial(body['to_number'] ?? '', body['flow'] ?? 'transfer');
      case 'remove':
        return this.#remove(party ?? '');
      case 'record':
        this.recording = body['action'] === 'pause' ? 'paused' : 'running';
        return null;
      default:
        return third ? this.#consult(body['verb'] ?? '', third) : 'no_consultation';
    }
  }

  /** The third person's phone: rings, answers, or fails with a reason. */
  rings(): void {
    this.#third().state = 'ringing';
  }

  answers(): void {
    const third = this.#third();
    if (third.joining === 'transfer') {
      Object.assign(this.get('agent'), { state: 'left', reason: 'transferred' });
    }
    third.state = third.joining === 'consult' ? 'consulting' : 'talking';
  }

  leaves(reason: string): void {
    Object.assign(this.#third(), { state: 'left', reason });
    this.get('agent').state = 'talking';
    this.get('customer').state = 'talking';
  }

  supervises(name: string, role: string): void {
    this.parties.push({ ...member('supervisor-1', 'supervisor', null), crm_username: name, supervisor_role: role });
  }

  #third(): Member {
    const third = this.parties.filter(({ role, state }) => role === 'participant' && state !== 'left').at(-1);
    if (!third) throw new Error('there is no third person');
    return third;
  }

  #newcomer(): Member | undefined {
    return this.parties.find(({ role, state }) => role === 'participant' && ['dialing', 'ringing', 'consulting', 'on_hold'].includes(state));
  }

  #dial(number: string, joining: string): null {
    this.#thirds += 1;
    this.parties.push({ ...member(`third-${this.#thirds}`, 'participant', number.replace(/[^+\d]/g, '')), joining, state: 'dialing' });
    if (joining !== 'join') this.get('agent').state = 'consulting';
    if (joining === 'consult') this.get('customer').state = 'on_hold';
    return null;
  }

  #consult(verb: string, third: Member): string | null {
    const [agent, customer] = [this.get('agent'), this.get('customer')];
    if (verb === 'cancel') {
      Object.assign(third, { state: 'left', reason: 'canceled' });
      agent.state = customer.state = 'talking';
      return null;
    }
    if (third.state === 'dialing' || third.state === 'ringing') return 'not_answered';
    if (verb === 'swap') {
      const away = third.state === 'consulting';
      third.state = away ? 'on_hold' : 'consulting';
      customer.state = away ? 'talking' : 'on_hold';
      agent.state = away ? 'talking' : 'consulting';
      return null;
    }
    agent.state = customer.state = third.state = 'talking';
    if (verb === 'complete') Object.assign(agent, { state: 'left', reason: 'completed' });
    return null;
  }

  #remove(party: string): string | null {
    if (!this.parties.some(other => other.party === party)) return 'unknown_party';
    Object.assign(this.get(party), { state: 'left', reason: 'removed' });
    if (this.get('agent').state !== 'left') this.get('agent').state = 'talking';
    if (party !== 'customer') this.get('customer').state = 'talking';
    return null;
  }
}

function member(party: string, role: Member['role'], number: string | null): Member {
  return { party, role, state: 'talking', muted: false, number, crm_username: null, joining: null, supervisor_role: null, reason: null };
}
