import { TidemarkError } from '../../model/errors.ts';

/**
 * Names of one place's time, the one in use first, after it those it had before or has besides: from `backward` of the
 * IANA time zone database 2026f (public domain), with what that says of the names of System V.
 *
 * A database may know only some of them: Debian 13 keeps the old ones in a package of their own, and a server from
 * before a renaming lacks the new one.
 */
const NAMES = `
Africa/Abidjan Africa/Timbuktu Iceland
Africa/Cairo Egypt
Africa/Nairobi Africa/Asmera
Africa/Tripoli Libya
America/Adak US/Aleutian America/Atka
America/Anchorage US/Alaska
America/Argentina/Buenos_Aires America/Buenos_Aires
America/Argentina/Catamarca America/Catamarca America/Argentina/ComodRivadavia
America/Argentina/Cordoba America/Cordoba America/Rosario
America/Argentina/Jujuy America/Jujuy
America/Argentina/Mendoza America/Mendoza
America/Chicago US/Central CST6CDT
America/Denver Navajo US/Mountain America/Shiprock MST7MDT
America/Detroit US/Michigan
America/Edmonton Canada/Mountain America/Yellowknife
America/Halifax Canada/Atlantic
America/Havana Cuba
America/Indiana/Indianapolis US/East-Indiana America/Indianapolis America/Fort_Wayne
America/Indiana/Knox US/Indiana-Starke America/Knox_IN
America/Iqaluit America/Pangnirtung
America/Jamaica Jamaica
America/Kentucky/Louisville America/Louisville
America/Los_Angeles US/Pacific PST8PDT
America/Manaus Brazil/West
America/Mazatlan Mexico/BajaSur
America/Mexico_City Mexico/General
America/New_York US/Eastern EST5EDT
America/Noronha Brazil/DeNoronha
America/Nuuk America/Godthab
America/Panama America/Coral_Harbour
America/Phoenix US/Arizona
America/Puerto_Rico America/Kralendijk America/Lower_Princes America/Marigot America/St_Barthelemy America/Virgin
America/Regina Canada/Saskatchewan
America/Rio_Branco Brazil/Acre America/Porto_Acre
America/Santiago Chile/Continental
America/Sao_Paulo Brazil/East
America/St_Johns Canada/Newfoundland
America/Tijuana Mexico/BajaNorte America/Ensenada America/Santa_Isabel
America/Toronto Canada/Eastern America/Montreal America/Nipigon America/Thunder_Bay
America/Vancouver Canada/Pacific
America/Whitehorse Canada/Yukon
America/Winnipeg Canada/Central America/Rainy_River
Asia/Ashgabat Asia/Ashkhabad
Asia/Dhaka Asia/Dacca
Asia/Ho_Chi_Minh Asia/Saigon
Asia/Hong_Kong Hongkong
Asia/Jerusalem Israel Asia/Tel_Aviv
Asia/Kathmandu Asia/Katmandu
Asia/Kolkata Asia/Calcutta
Asia/Macau Asia/Macao
Asia/Makassar Asia/Ujung_Pandang
Asia/Nicosia Europe/Nicosia
Asia/Seoul ROK
Asia/Shanghai PRC Asia/Chongqing Asia/Harbin Asia/Chungking
Asia/Singapore Singapore
Asia/Taipei ROC
Asia/Tehran Iran
Asia/Thimphu Asia/Thimbu
Asia/Tokyo Japan
Asia/Ulaanbaatar Asia/Choibalsan Asia/Ulan_Bator
Asia/Urumqi Asia/Kashgar
Asia/Yangon Asia/Rangoon
Atlantic/Faroe Atlantic/Faeroe
Australia/Adelaide Australia/South
Australia/Brisbane Australia/Queensland
Australia/Broken_Hill Australia/Yancowinna
Australia/Darwin Australia/North
Australia/Hobart Australia/Tasmania Australia/Currie
Australia/Lord_Howe Australia/LHI
Australia/Melbourne Australia/Victoria
Australia/Perth Australia/West
Australia/Sydney Australia/ACT Australia/NSW Australia/Canberra
Etc/GMT GMT Etc/GMT+0 Etc/GMT-0 Etc/GMT0 Etc/Greenwich GMT+0 GMT-0 GMT0 Greenwich
Etc/UTC Etc/UCT Etc/Universal Etc/Zulu UCT UTC Universal Zulu
Europe/Belgrade Europe/Podgorica
Europe/Berlin Arctic/Longyearbyen Atlantic/Jan_Mayen
Europe/Chisinau Europe/Tiraspol
Europe/Dublin Eire
Europe/Helsinki Europe/Mariehamn
Europe/Istanbul Turkey Asia/Istanbul
Europe/Kyiv Europe/Kiev Europe/Uzhgorod Europe/Zaporozhye
Europe/Lisbon Portugal
Europe/London GB GB-Eire Europe/Belfast
Europe/Moscow W-SU
Europe/Prague Europe/Bratislava
Europe/Rome Europe/San_Marino Europe/Vatican
Europe/Warsaw Poland
Europe/Zurich Europe/Busingen
Pacific/Auckland NZ Antarctica/South_Pole
Pacific/Chatham NZ-CHAT
Pacific/Chuuk Pacific/Truk
Pacific/Easter Chile/EasterIsland
Pacific/Honolulu US/Hawaii Pacific/Johnston
Pacific/Kanton Pacific/Enderbury
Pacific/Kwajalein Kwajalein
Pacific/Pago_Pago US/Samoa Pacific/Samoa
Pacific/Pohnpei Pacific/Ponape
Pacific/Port_Moresby Pacific/Yap
`;

/** By any of the names, in lower case: all of them. */
const GROUPS = new Map<string, readonly string[]>();
for (const line of NAMES.trim().split('\n')) {
  const names = line.split(' ');
  for (const name of names) GROUPS.set(name.toLowerCase(), names);
}

/** A name and no more: PostgreSQL would take `Foo/Bar+3` for a rule, and look for a file `..`. */
const PLACE = /^[a-z_-]+(\/[a-z_-]+){1,3}$/i;
const FIXED = /^etc\/gmt([+-]?0|\+([1-9]|1[0-2])|-([1-9]|1[0-4]))$/i;
/** Files beside the places that PostgreSQL lists too. */
const NO_PLACE = /^(factory|localtime|posixrules)$/i;
/** Where Debian has everything once more. */
const AGAIN = /^posix\//i;
/** And once with leap seconds, where days begin half a minute off: neither our times nor those of PostgreSQL have any. */
const WITH_LEAP_SECONDS = /^right\//i;
const OF_UTC = new Set(['Etc/UTC', 'Etc/GMT']);

/** Whether it is UTC by another name. */
export function isUtc(name: string): boolean {
  return OF_UTC.has(GROUPS.get(name.toLowerCase())?.[0] ?? name);
}

/**
 * The names to ask a database for, one after the other, until it knows one. Without a slash a name may be an
 * abbreviation to PostgreSQL, without summer time (CET) and with another meaning elsewhere (IST: India, Israel): such a
 * one is refused, and what is none (Cuba) stands for its place.
 *
 * @throws {TidemarkError} `timezone_invalid` where it cannot be the name of a zone.
 */
export function namesOf(zone: string): string[] {
  const name = zone.replace(AGAIN, '');
  const places = (GROUPS.get(name.toLowerCase()) ?? []).filter((other) => other.includes('/'));
  if (NO_PLACE.test(name)) return [name];
  if (WITH_LEAP_SECONDS.test(name)) throw unknown(zone);
  if (PLACE.test(name) || FIXED.test(name)) return [name, ...places.filter((other) => other !== name)];
  if (name.includes('/') || places.length === 0) {
    throw unknown(zone);
  }
  return places;
}

function unknown(zone: string): TidemarkError {
  return new TidemarkError(
    'timezone_invalid',
    `${zone} is not a time zone; use a name such as Europe/Berlin`,
  );
}
