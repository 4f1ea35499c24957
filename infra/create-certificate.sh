#!/bin/sh
# Makes the encryption certificate in the vault, once; the vault renews it from then on (certificate-policy.json).
#
#   infra/create-certificate.sh VAULT [CERTIFICATE]
#
# Needs the Azure CLI, signed in as somebody with Key Vault Certificates Officer on the vault, and a way to the vault.
# Safe to run again: a certificate that is there stays.
set -eu

vault=${1:?usage: create-certificate.sh VAULT [CERTIFICATE]}
certificate=${2:-graph-notifications}
policy=$(dirname "$0")/certificate-policy.json
tries=${CREATE_CERTIFICATE_TRIES:-20}
pause=${CREATE_CERTIFICATE_PAUSE:-15}

known() {
    az keyvault certificate list --vault-name "$vault" --query "length([?name=='$certificate'])" --output tsv
}

# A role that was given a moment ago takes minutes to hold.
tried=1
until count=$(known); do
    if [ "$tried" -ge "$tries" ]; then
        echo "Key Vault $vault does not let you list its certificates. Are you Key Vault Certificates Officer, and is" >&2
        echo "your address among adminIpRanges if the vault is private?" >&2
        exit 1
    fi
    tried=$((tried + 1))
    sleep "$pause"
done

if [ "$count" != 0 ]; then
    echo "Certificate $certificate is in $vault already."
    exit 0
fi
az keyvault certificate create --vault-name "$vault" --name "$certificate" --policy "@$policy" --output none
echo "Made certificate $certificate in $vault. It renews itself; keep its old versions, they open what is in flight."
