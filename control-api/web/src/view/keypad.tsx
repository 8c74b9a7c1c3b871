// The keypad: digits to the customer as telephone events (RFC 4733).

const KEYS: readonly (readonly [string, string])[] = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'], ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'], ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'], ['*', ''], ['0', '+'], ['#', ''],
];
const SPOKEN: Record<string, string> = { '*': 'Star', '#': 'Hash' };

export function Keypad({ press, sent }: { press: (digit: string) => void; sent: string }) {
  return (
    <div class="panel" role="group" aria-label="Keypad">
      <output class="sent" aria-label="Digits sent">{sent || <span class="faint">Keys are sent to the customer</span>}</output>
      <div class="keys">
        {KEYS.map(([key, letters]) => (
          <button type="button" key={key} aria-label={SPOKEN[key] ?? key} onClick={() => press(key)}>
            <span>{key}</span><small aria-hidden="true">{letters}</small>
          </button>
        ))}
      </div>
    </div>
  );
}
