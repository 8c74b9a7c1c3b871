// How telephone numbers and durations are shown and read out. Pure; it changes no number, only its spacing.

/** Lengths of country codes that this product's customers call; others are shown in groups of three. */
const COUNTRY_CODES: readonly string[] = ['91', '1', '44', '971', '65', '61', '49', '33', '880', '977', '94', '92', '966', '974', '968', '60', '62', '63'];

/** An E.164 number with spaces; anything else as it came, without invisible characters. */
export function displayNumber(number: string): string {
  const plain = number.replace(/[\u200b-\u200f\u202a-\u202e\u2060\ufeff]/g, '').replace(/\u00a0/g, ' ').trim();
  const digits = /^\+(\d{6,15})$/.exec(plain)?.[1];
  if (!digits) return plain;
  const code = COUNTRY_CODES.find(candidate => digits.startsWith(candidate));
  if (!code) return `+${groups(digits, 3)}`;
  return `+${code} ${groups(digits.slice(code.length), digits.length - code.length === 10 ? 5 : 3)}`;
}

/** Groups of `size` from the left; a last group of one digit joins its neighbour. */
function groups(digits: string, size: number): string {
  const parts = digits.match(new RegExp(`\\d{1,${size}}`, 'g')) ?? [];
  const last = parts[parts.length - 1];
  if (parts.length > 1 && last?.length === 1) parts.splice(-2, 2, `${parts[parts.length - 2]}${last}`);
  return parts.join(' ');
}

/** Digits apart, so that a screen reader does not read millions. */
export function spokenNumber(number: string): string {
  return displayNumber(number).replace(/\+/g, 'plus ').replace(/\d(?=\d)/g, '$& ').replace(/ {2,}/g, ' ');
}

/** `m:ss`, with hours in front when there are any. */
export function displayDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
