#!/bin/sh
# Makes the app registration, its trust in the managed identity and its Graph permissions, for tenants where whoever deploys
# may not: the same as identity/app-registration.bicep. It lists first and adds what is missing, so it is safe to run again.
#
#   infra/grant-permissions.sh NAME IDENTITY_PRINCIPAL_ID [PERMISSION...]
#
# NAME is the registration's display name, the same each time; IDENTITY_PRINCIPAL_ID is an output of the deployment.
# Permissions beyond the two that archiving takes: GroupMember.Read.All Chat.ReadBasic.All ... (identity/permissions.json).
# Needs the Azure CLI, signed in as Privileged Role Administrator (or Global Administrator). Prints the client id.
set -eu

name=${1:?usage: grant-permissions.sh NAME IDENTITY_PRINCIPAL_ID [PERMISSION...]}
identity=${2:?usage: grant-permissions.sh NAME IDENTITY_PRINCIPAL_ID [PERMISSION...]}
shift 2
graph_app=00000003-0000-0000-c000-000000000000

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}/v1.0
login=$(az cloud show --query endpoints.activeDirectory --output tsv)
login=${login%/}
tenant=$(az account show --query tenantId --output tsv)
case $(az cloud show --query name --output tsv) in
    AzureUSGovernment) audience=api://AzureADTokenExchangeUSGov ;;
    AzureChinaCloud) audience=api://AzureADTokenExchangeChina ;;
    *) audience=api://AzureADTokenExchange ;;
esac

say() { echo "$*" >&2; }
get() { az rest --method get --url "$1" --query "$2" --output tsv; }
send() { az rest --method "$1" --url "$2" --headers Content-Type=application/json --body "$3" --output none; }
# What was made a moment ago is not everywhere in the directory yet.
patiently() {
    tried=1
    until "$@"; do
        [ "$tried" -lt 10 ] || return 1
        tried=$((tried + 1))
        sleep "${GRANT_PERMISSIONS_PAUSE:-5}"
    done
}

# The registration, by its name. (Unique names, as the Bicep module uses, are for the global cloud only.)
applications="$graph/applications?\$filter=displayName eq '$name'&\$select=appId"
case $(get "$applications" 'length(value)') in
    0)
        send post "$graph/applications" "{\"displayName\": \"$name\", \"signInAudience\": \"AzureADMyOrg\"}"
        say "Made app registration $name."
        ;;
    1) ;;
    *)
        say "Several app registrations are called $name. Give another name."
        exit 1
        ;;
esac
made() { [ "$(get "$1" 'length(value)')" = 1 ]; }
patiently made "$applications"
client=$(get "$applications" 'value[0].appId')

# Its trust in the managed identity, instead of a secret.
credentials="$graph/applications(appId='$client')/federatedIdentityCredentials"
patiently get "$credentials" 'length(value)' >/dev/null
if [ "$(get "$credentials" "length(value[?subject=='$identity'])")" = 0 ]; then
    send post "$credentials" "{\"name\": \"managed-identity\", \"issuer\": \"$login/$tenant/v2.0\", \"subject\": \"$identity\", \"audiences\": [\"$audience\"]}"
    say "It trusts the managed identity $identity."
fi

# Its service principal. Were an assignment required, Graph's posts would come without validation tokens.
principals="$graph/servicePrincipals?\$filter=appId eq '$client'&\$select=id,appRoleAssignmentRequired"
if [ "$(get "$principals" 'length(value)')" = 0 ]; then
    patiently send post "$graph/servicePrincipals" "{\"appId\": \"$client\", \"appRoleAssignmentRequired\": false}"
    say "Made its service principal."
fi
patiently made "$principals"
principal=$(get "$principals" 'value[0].id')
if [ "$(get "$principals" 'length(value[?appRoleAssignmentRequired])')" != 0 ]; then
    send patch "$graph/servicePrincipals/$principal" '{"appRoleAssignmentRequired": false}'
    say "Its service principal no longer requires an assignment."
fi

# The permissions, by name: Graph itself knows their ids.
resource=$(get "$graph/servicePrincipals(appId='$graph_app')?\$select=id" id)
assigned=$graph/servicePrincipals/$principal/appRoleAssignments
for permission in AiEnterpriseInteraction.Read.All User.Read.All "$@"; do
    role=$(get "$graph/servicePrincipals(appId='$graph_app')?\$select=appRoles" "appRoles[?value=='$permission'].id")
    if [ -z "$role" ]; then
        say "Graph knows no application permission $permission."
        exit 1
    fi
    if [ "$(get "$assigned?\$top=999" "length(value[?appRoleId=='$role'])")" = 0 ]; then
        patiently send post "$assigned" \
            "{\"principalId\": \"$principal\", \"resourceId\": \"$resource\", \"appRoleId\": \"$role\"}"
        say "Granted $permission."
    fi
done

say "All is as it should be. Tokens show a new permission within a day. The client id, for GRAPH_CLIENT_ID:"
echo "$client"
