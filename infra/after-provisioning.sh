#!/bin/sh
# What Azure Resource Manager can't do, after main.bicep is deployed: azd runs it by itself (azure.yaml). After
# `az deployment sub create` run it with the deployment's outputs of these names in the environment:
#
#   AZURE_KEY_VAULT_NAME ENCRYPTION_CERTIFICATE AZURE_FUNCTION_APP_ID
#
# Safe to run again.
set -eu

here=$(dirname "$0")
"$here/create-certificate.sh" "${AZURE_KEY_VAULT_NAME:?}" "${ENCRYPTION_CERTIFICATE:?}"

# The site may have asked for CLIENT_STATE before its role in the vault held, and would ask again only in a day:
# https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#rotation
refresh="${AZURE_FUNCTION_APP_ID:?}/config/configreferences/appsettings/refresh?api-version=2022-03-01"
az rest --method post --url "$refresh" --output none
echo "The app's references to the vault are fresh."

if [ -z "${GRAPH_CLIENT_ID:-}" ]; then
    echo "There is no app registration yet. Somebody with rights in the directory runs infra/grant-permissions.sh, then" >&2
    echo "deploy again with the client id that it prints: azd env set GRAPH_CLIENT_ID ...; azd provision" >&2
fi
